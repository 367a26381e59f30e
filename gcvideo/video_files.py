"""What is a video: the files of a folder tree that are named like one."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".divx", ".mpg", ".mpeg", ".m2v", ".ts", ".mts"),
    *(".m2ts", ".vob", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".ogv", ".ogm", ".mxf"),
)
"""Endings of video names, in lower case."""
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""Endings of the names of pictures that may be the frames of a video."""


def is_video_name(name: str) -> bool:
    """Return whether a file, given by name or path, is named like a video and not hidden."""
    return name.lower().endswith(SUFFIXES) and not is_hidden(name)


def is_picture_name(name: str) -> bool:
    """Return whether a file is named like a picture and not hidden."""
    return name.lower().endswith(PICTURE_SUFFIXES) and not is_hidden(name)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is not meant to be seen: .name, and ._name and __MACOSX of macOS."""
    last = name[name.rfind("/") + 1 :]
    return last.startswith(".") or last == "__MACOSX"


def video_names(
    root: Path, *, num_workers: int = 1, advance: Callable[[int], object] = lambda num_names: None
) -> list[str]:
    """Return the paths under root, relative to it and sorted, of everything that is named like a video.

    Links to folders are followed, but no folder is listed twice, so that links may go round in circles.
    Hidden files and folders are passed over. What a name turns out to be (a folder, a FIFO, nothing) is for
    the reader to say.

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


def picture_folders(root: Path) -> list[Path]:
    """Return the folders, root itself among them, that hold pictures, sorted; links to folders are followed.

    Raises:
        ValueError: root is not a folder.
    """
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder; expected a folder of pictures, or of such folders")
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        if (identity := _identity(folder)) in seen:
            continue
        seen.add(identity)
        entries = [entry for entry in _scan(folder) if not is_hidden(entry.name)]
        if any(is_picture_name(entry.name) for entry in entries):
            found.append(folder)
        waiting += [Path(entry.path) for entry in entries if entry.is_dir()]
    return sorted(found)


def _identity(folder: Path) -> tuple[int, int]:
    """Return what tells a folder from every other, by whatever name."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def _entries(root: Path, folder: str) -> tuple[list[tuple[bool, str]], list[str]]:
    """Return sub-folders, each with whether it is a link, and video names of one folder, relative to root."""
    folders, names = [], []
    for entry in _scan(root / folder):
        path = f"{folder}/{entry.name}" if folder else entry.name
        if is_video_name(entry.name):
            names.append(path)
        elif not is_hidden(entry.name) and entry.is_dir():
            folders.append((entry.is_symlink(), path))
    return folders, names


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from entries
