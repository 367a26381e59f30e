"""The arguments of `gcvideo report`."""

from pathlib import Path

from gcvideo.cli.options import add_out
from gcvideo.cli.parser import CommandParser


def parser() -> CommandParser:
    """Return the parser of the command's arguments."""
    arguments = CommandParser(
        prog="gcvideo report",
        description="Write one HTML page on runs: curves, metrics, accuracy and confusions of classes, the "
        "most confident mistakes with pictures, cost, and attention maps where there are any. The page "
        "opens without a network.",
    )
    arguments.add_argument(
        "runs", nargs="+", type=Path, help="Folders of runs: the run_dir of `gcvideo fit`."
    )
    add_out(
        arguments,
        help="Write this HTML file; by default report.html in the folder of a single run, "
        "or here for several.",
    )
    arguments.add_argument(
        "--cost",
        type=bool,
        default=True,
        help="Measure parameters, FLOPs and time of every run's network (some seconds each).",
    )
    return arguments
