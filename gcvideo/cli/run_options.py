"""The options of the commands that run, as config files name them."""

from collections.abc import Set
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from gcvideo.cli.run_parser import RunParser
from gcvideo.cli.video_cli import VideoCLI
from gcvideo.data import VideoDataModule
from gcvideo.private_names import parsers_of_subcommands
from gcvideo.training import VideoClassifier


def run_options() -> Set[str]:
    """Return the top-level keys that a config file of `gcvideo fit | validate | test` may have.

    They are those of the commands' own parsers, so that an option is known here as soon as it is there.
    """
    return {key for command in run_parsers().values() for key in command.get_defaults().as_dict()}


def run_parsers() -> dict[str, RunParser]:
    """Return the parsers of `gcvideo fit | validate | test`."""
    try:
        _Parsers(VideoClassifier, VideoDataModule, parser_class=RunParser, auto_configure_optimizers=False)
    except _Collected as collected:
        return collected.parsers
    raise AssertionError("LightningCLI parses its arguments")


class _Collected(Exception):  # noqa: N818 (no error)
    """Ends the command line before it reads arguments."""

    def __init__(self, parsers: dict[str, RunParser]) -> None:
        super().__init__()
        self.parsers = parsers


class _Parsers(VideoCLI):
    """The command line with all of its options, and nothing to run."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        raise _Collected(parsers_of_subcommands(self))
