"""Paths as people write them in options and config files, where no shell has been at work."""

import re
from argparse import ArgumentTypeError
from os.path import expanduser
from pathlib import Path

URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
VARIABLE = re.compile(r"\$(?:\w+|\{\w+\})")


class PathError(ArgumentTypeError, ValueError):
    """What cannot be a path; being both, argparse passes its message on."""


def user_path(text: str) -> Path:
    """Return a path with ~ expanded.

    Raises:
        PathError: It is a URL, or begins with a variable, as $HOME/clips, and nothing is called that.
    """
    path = Path(expanduser(text))  # noqa: PTH111, of which the other fails for users who do not exist
    if URL.match(text) and not path.exists():
        raise PathError(f"{text} is a URL, and files are read from disks alone; fetch it, and pass the file")
    if VARIABLE.match(text) and not path.exists():
        raise PathError(f"{text!r} is no path: variables are not expanded; write the folder itself, or ~")
    return path


def shipped_config(name: str) -> Path:
    """Return a file of the folder configs, which lies beside the package in a checkout.

    Raises:
        ValueError: It is not there.
    """
    file = Path(__file__).parents[1] / "configs" / name
    if not file.is_file():
        raise ValueError(
            f"{file}: there is no such file; install gcvideo from a checkout, by `pip install --editable .`, "
            "so that the folder configs lies beside the package"
        )
    return file
