"""The arguments of `gcvideo completion`."""

from gcvideo.cli.parser import CommandParser


def parser() -> CommandParser:
    """Return the parser of the command's arguments."""
    arguments = CommandParser(
        prog="gcvideo completion",
        description="Print a script by which bash completes commands, keys, their words, files and names of "
        "configurations. Once: gcvideo completion bash > "
        "~/.local/share/bash-completion/completions/gcvideo; the next shell has it.",
    )
    arguments.add_argument("shell", choices=["bash"], help="Whose script.")
    return arguments
