"""The arguments of `gcvideo weights`."""

from pathlib import Path

from gcvideo.cli.options import add_switch
from gcvideo.cli.parser import CommandParser
from gcvideo.words import ArchitectureName, Inflation, NamingFormat, NamingTarget


def parser() -> CommandParser:
    """Return the parser of the command's arguments."""
    arguments = CommandParser(
        prog="gcvideo weights",
        description="Say whose network a file of weights holds (inspect), or write the same weights under "
        "other names (convert). Nothing in a file is ever run.",
    )
    actions = arguments.add_subcommands(dest="action", required=True)

    # weights inspect
    inspect = CommandParser(prog="gcvideo weights inspect", description="Say what a file of weights holds.")
    inspect.add_argument("path", type=Path, help="The file.")
    _add_source(inspect)
    add_switch(inspect, "--tensors", help="List every tensor: its name, ours, its shape.")
    actions.add_subcommand("inspect", inspect, help="say what a file holds")

    # weights convert
    convert = CommandParser(
        prog="gcvideo weights convert",
        description="Write weights under other names. Both directions are exact: converting back gives the "
        "same tensors. 2-D weights are inflated on the way to a video network.",
    )
    convert.add_argument("path", type=Path, help="The file to read.")
    convert.add_argument("out", type=Path, help="The file to write: .safetensors, .pth, .pyth or .pt.")
    convert.add_argument(
        "--to", type=NamingTarget, default="gcvideo", help="Write the names of this codebase."
    )
    _add_source(convert)
    convert.add_argument(
        "--architecture",
        type=ArchitectureName | None,
        default=None,
        help="Inflate 2-D weights to this architecture.",
    )
    convert.add_argument("--inflation", type=Inflation, default="mean", help="Inflate 2-D weights so.")
    actions.add_subcommand("convert", convert, help="write the same weights under other names")
    return arguments


def _add_source(action: CommandParser) -> None:
    """Add how the file is to be read."""
    action.add_argument(
        "--format", type=NamingFormat, default="auto", help="Read the names of its layers as this codebase's."
    )
    action.add_argument("--state", type=str | None, help="Read this state, if the file has several.")
