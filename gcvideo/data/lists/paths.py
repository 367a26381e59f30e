"""Paths as they stand in a list: which of them can be files, and where those lie."""

import re
from collections.abc import Sequence
from os.path import expanduser, join, lexists, normpath
from pathlib import Path

from gcvideo.cells import unquoted
from gcvideo.data.lists.cells import RowError

# Signs that tell of thousands of paths at once whether one of them needs a second look.
STARTS = {"", ".", "/", "~", "$", "'"}
PARTS = ("\\", "\0", ":/", ".zip/")
STEPS = re.compile(r"/[./]")

ELSEWHERE = {
    re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://"): ("is a URL", "download the file and list its path"),
    re.compile(r"[A-Za-z]:[\\/]"): ("names a drive of Windows", "write it relative to the root, with /"),
    re.compile(r".*\\"): ("has backslashes", "write / between folders"),
    re.compile(r"\$\{?\w+\}?/"): ("names a variable, which is not expanded", "write the folder itself"),
    re.compile(r".*\.zip/"): ("lies in an archive", "unpack it and list the file's path"),
    re.compile(r"'.*'$"): ("is in single quotes", "write double quotes or none"),
}
"""What paths look like that no file here has: what they are, and what would do."""


def are_usual(paths: Sequence[str], text: str) -> bool:
    """Return whether all are plain paths below a root; `text` is all of them joined."""
    return (
        STARTS.isdisjoint({path[:1] for path in paths})
        and STEPS.search(text) is None
        and not any(part in text for part in PARTS)
    )


def local_path(path: str, *, base: str) -> str:
    """Return a path, relative to `base` or absolute, with ~ expanded.

    Raises:
        RowError: It is no path of a file here.
    """
    if not path:
        raise RowError(f"the path is empty; expected a video file below {base}")
    if "\0" in path:
        raise RowError(f"path {path!r} holds the sign \\x00, which no name can; remove it")
    if path.startswith("'") and not lexists(join(base, path)):  # noqa: PTH118
        path = unquoted(path)
    if path.startswith("~/"):
        path = expanduser(path)  # noqa: PTH111
    for pattern, (found, remedy) in ELSEWHERE.items():
        if pattern.match(path) and not lexists(join(base, path)):  # noqa: PTH118
            raise RowError(f"path {path!r} {found}; {remedy}")
    return path


def path_below(path: str, *, root: Path, base: str) -> str:
    """Return a path relative to `base`, which is the absolute form of `root`, in the one way to write it.

    Raises:
        RowError: It leads out of the root.
    """
    full, below = normpath(join(base, path)), base.rstrip("/") + "/"  # noqa: PTH118
    if not full.startswith(below):
        raise RowError(
            f"path {path!r} leads out of {root}; make it relative to the root, or set data.videos to a "
            f"folder that holds all videos{', as /' if path.startswith('/') else ''}"
        )
    return full[len(below) :]
