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
    try:
        _Options(VideoClassifier, VideoDataModule, parser_class=RunParser, auto_configure_optimizers=False)
    except _Collected as collected:
        return collected.options
    raise AssertionError("LightningCLI parses its arguments")


class _Collected(Exception):  # noqa: N818 (no error)
    """Ends the command line before it reads arguments."""

    def __init__(self, options: Set[str]) -> None:
        super().__init__()
        self.options = options


class _Options(VideoCLI):
    """The command line with all of its options, and nothing to run."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        commands = parsers_of_subcommands(self).values()
        raise _Collected({key for command in commands for key in command.get_defaults().as_dict()})
