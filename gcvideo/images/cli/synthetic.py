"""`gcvideo image synthetic`: write pictures of shapes for an image task."""

from collections.abc import Sequence

from jsonargparse import auto_cli

from gcvideo.cli.parser import CommandParser
from gcvideo.images.synthetic.folders import write_synthetic_pictures


def run(arguments: Sequence[str]) -> None:
    """Write the data set that `arguments`, the first of which is the command's name, describe."""
    auto_cli(
        write_synthetic_pictures,
        args=list(arguments[1:]),
        prog="gcvideo image synthetic",
        parser_class=CommandParser,
    )
