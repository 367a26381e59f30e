"""The files of a folder tree: which are named like videos, and which names a list can hold."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gcvideo.atomic import is_partial

SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".flv"),
    *(".3gp", ".ogv", ".vob", ".divx"),
)
"""Endings of video names, in lower case."""


def is_video_name(name: str) -> bool:
    """Whether a file is named like a video. Temporary and hidden names (as macOS makes) are not."""
    return name.lower().endswith(SUFFIXES) and not name.startswith("._") and not is_partial(name)


def unlistable(name: str) -> str | None:
    """Why a name cannot stand in a list of one row a line, or None."""
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "name that is not UTF-8"
    if len(name.splitlines()) > 1 or any(ord(character) < 32 for character in name):
        return "name with control characters"
    return None


def video_names(
    root: Path, *, num_workers: int = 1, advance: Callable[[int], object] = lambda num_names: None
) -> list[str]:
    """Paths under root, relative to it and sorted, of everything that is named like a video.

    Links to folders are followed, but no folder is listed twice, so that links may go round in circles.
    What a name turns out to be (a folder, a FIFO, nothing) is for the reader to say.

    Args:
        root: Where to look.
        num_workers: Folders listed at a time.
        advance: Told how many more names were found.

    Raises:
        ValueError: root is not a folder.
    """
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder; expected the folder of the videos")
    names: list[str] = []
    seen: set[tuple[int, int]] = set()
    level = [""]
    with ThreadPoolExecutor(num_workers) as pool:
        while level:  # breadth first: folders of one level are listed in parallel
            new = []
            for folder, identity in zip(
                level, pool.map(lambda name: _identity(root / name), level), strict=True
            ):
                if identity not in seen:
                    seen.add(identity)
                    new.append(folder)
            folders = []
            for found_folders, found in pool.map(lambda folder: _entries(root, folder), new):
                folders += found_folders
                names += found
                advance(len(found))
            level = [path for _, path in sorted(folders)]
    return sorted(names)


def _identity(folder: Path) -> tuple[int, int]:
    """What tells a folder from every other, by whatever name."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def _entries(root: Path, folder: str) -> tuple[list[tuple[bool, str]], list[str]]:
    """Sub-folders, each with whether it is a link, and video names of one folder, relative to root."""
    folders, names = [], []
    for entry in _scan(root / folder):
        path = f"{folder}/{entry.name}" if folder else entry.name
        if is_video_name(entry.name):
            names.append(path)
        elif entry.is_dir():
            folders.append((entry.is_symlink(), path))
    return folders, names


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from entries
