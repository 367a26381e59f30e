"""Training lists: CSV files with the columns path and label, and classes.txt beside them."""

import csv
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from data_prep.running.console import progress_bar
from gcvideo.atomic import replacing, write_table
from gcvideo.cells import unquoted
from gcvideo.video_files import picture_folders, video_names

SEGMENTS = {"start", "end", "time_start", "time_end", "start_time", "end_time", "start_frame", "end_frame"}
IN_SECONDS = ("start", "end")
"""Columns of a segment."""
CLASSES = "classes.txt"
"""One class a line; the line's number, from 0, is the label."""


class ListedVideo(NamedTuple):
    """One row of a list."""

    path: str
    """Relative to the videos' root."""
    label: str
    """Class index as written, or several with semicolons between; empty where a test set is not labelled."""
    start: str = ""
    """Of a segment as written, in what the list's columns say; empty of a whole video."""
    end: str = ""


class VideoList(NamedTuple):
    """One list file."""

    name: str
    """File name, as in train.csv."""
    videos: list[ListedVideo]


def read_lists(
    files: Sequence[Path], *, root: Path, num_workers: int, takes_folders: bool = False
) -> list[VideoList]:
    """Return the lists of videos; if none is named, one of all that is named like a video under root.

    If there is no such file either, and the step takes folders of pictures, one of those.

    Raises:
        ValueError: A list has no column path or label, two lists have one name, there is no video, or
            none of those listed is under root.
    """
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder; expected the folder of the videos")
    if not files:
        names = listed_videos(root, num_workers=num_workers)
        if not names and takes_folders:
            names = [str(folder.relative_to(root)) for folder in picture_folders(root) if folder != root]
        if not names:
            raise ValueError(
                f"{root} holds nothing that is named like a video; expected .mp4, .avi, .mkv, ..."
            )
        return [VideoList("videos.csv", [ListedVideo(name, "") for name in names])]
    lists = []
    for file in files:
        if file.name in [name for name, _ in lists]:
            raise ValueError(f"two lists are called {file.name}; rename one of them")
        lists.append(VideoList(file.name, _videos_of(file)))
    paths = paths_of(lists)
    if not paths:
        raise ValueError(f"{', '.join(map(str, files))} list no video; expected rows below path,label")
    if not any(os.path.lexists(root / path) for path in paths):
        raise ValueError(
            f"{root} holds none of the {len(paths):,} videos listed, not even {paths[0]}; --root is the "
            "folder that the paths start from"
        )
    return lists


def _videos_of(file: Path) -> list[ListedVideo]:
    """Return the rows of a list; it may have none, as the test list of a data set divided in two."""
    videos = []
    with file.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        try:
            columns = set(reader.fieldnames or ())
            if not {"path", "label"} <= columns:
                raise ValueError(f"{file}: expected a header with the columns path and label")
            if columns & SEGMENTS:
                said = ", ".join(sorted(columns & SEGMENTS))
                raise ValueError(f"{file}: has columns {said}; cut segments out as videos of their own first")
            for row in reader:
                if not row["path"] or None in row:
                    raise ValueError(
                        f"{file}:{reader.line_num}: is no row of {','.join(reader.fieldnames or ())}"
                    )
                videos.append(ListedVideo(unquoted(row["path"]), unquoted(row["label"] or "")))
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{file}: is not UTF-8 text ({error.reason}); write the file again as UTF-8"
            ) from error
        except csv.Error as error:
            raise ValueError(
                f"{file}:{reader.reader.line_num}: is not CSV ({error}); check its quotes"
            ) from error
    return videos


def listed_checksums(files: Sequence[Path]) -> dict[str, int]:
    """Return path -> checksum, of lists that have any.

    Raises:
        ValueError: A checksum is no number.
    """
    checksums: dict[str, int] = {}
    for file in files:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            for row in csv.DictReader(stream):
                listed = row.get("crc32")
                if listed and not listed.isdecimal():
                    raise ValueError(f"{file}: crc32 of {row['path']} is {listed!r}; expected a number")
                if listed:
                    checksums[row["path"]] = int(listed)
    return checksums


def listed_videos(root: Path, *, num_workers: int) -> list[str]:
    """Return `video_names`, under a progress bar: a folder may hold 300,000, on a slow disk."""
    with progress_bar() as bar:
        task = bar.add_task("list videos", total=None)
        names = video_names(root, num_workers=num_workers, advance=partial(bar.advance, task))
        bar.update(task, total=len(names))
    return names


def paths_of(lists: Sequence[VideoList]) -> list[str]:
    """Return every path once, in the order in which the lists name them first."""
    return list(dict.fromkeys(video.path for _, videos in lists for video in videos))


def write_list(file: Path, videos: Sequence[ListedVideo], *, bounds: Sequence[str] = ()) -> None:
    """Write one list, with the columns that its segments, if it is one of segments, have."""
    rows = ((path, *(start, end)[: len(bounds)], label) for path, label, start, end in videos)
    write_table(file, ("path", *bounds, "label"), rows)


def copy_classes(lists: Sequence[Path], output: Path, *, partial: Path) -> None:
    """Copy the class names that lie beside the lists, if they do, to the output, by way of partial."""
    for folder in dict.fromkeys(file.parent for file in lists):
        if (folder / CLASSES).exists() and folder.resolve() != output.resolve():
            with replacing(output / CLASSES, partial=partial):
                shutil.copyfile(folder / CLASSES, partial)
