"""Argument parsers whose errors are one line and whose help can be read."""

import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser
from jsonargparse.typing import register_type
from lightning.pytorch.cli import LightningArgumentParser

from gcvideo.paths import user_path

register_type(Path, str, user_path, type_check=isinstance)


class CommandParser(ArgumentParser):
    """The parser of a command of ours."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong, without the usage of two hundred arguments before it, and exit with 2."""
        command = self.prog.replace(" [options]", "")
        said = " ".join(message.split())
        sys.stderr.write(f"{command}: {said}; see `{command} --help`\n")
        sys.exit(2)

    def format_help(self) -> str:
        """The help, without the lists of several hundred classes that any module's type brings."""
        return re.sub(r",\s+known\s+subclasses:([^)]*)\)", _short_list, super().format_help())


def _short_list(listed: re.Match[str]) -> str:
    return listed[0] if listed[1].count(",") < 12 else ")"


class RunParser(CommandParser, LightningArgumentParser):
    """The parser of a command of Lightning's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"prog": "gcvideo", **kwargs})
