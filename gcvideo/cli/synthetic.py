"""`gcvideo synthetic`: write the embedded data set."""

from collections.abc import Sequence

from jsonargparse import auto_cli

from gcvideo.cli.parser import CommandParser
from gcvideo.data.synthetic import write_synthetic


def run(arguments: Sequence[str]) -> None:
    """Write the data set that `arguments` describe."""
    auto_cli(write_synthetic, args=list(arguments[1:]), prog="gcvideo synthetic", parser_class=CommandParser)
