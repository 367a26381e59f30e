"""Training lists: CSV files with the columns path and label, and classes.txt beside them."""

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from data_prep.running.console import progress_bar
from gcvideo.atomic import replacing, write_table
from gcvideo.video_files import picture_folders, video_names

IN_SECONDS = ("start", "end")
"""Columns of a segment."""
IN_FRAMES = ("start_frame", "end_frame")
"""Those of a segment whose bounds are numbers of frames."""
CLASSES = "classes.txt"
"""One class a line; the line's number, from 0, is the label."""


class ListedVideo(NamedTuple):
    """One row of a list."""

    path: str
    """Relative to the videos' root."""
    label: str
    """Class index as written, or several with semicolons between; empty where a test set is not labelled."""
    segment: tuple[str, ...] = ()
    """Its start and end as written, in what the list's columns say; empty of a whole video."""
    num_frames: int | None = None
    """As the list says; None where it does not."""
    crc32: int | None = None
    """Likewise, of a list that verify.py wrote."""


class VideoList(NamedTuple):
    """One list file."""

    name: str
    """File name, as in train.csv."""
    videos: list[ListedVideo]
    bounds: Sequence[str] = ()
    """Columns of the segments, IN_SECONDS or IN_FRAMES, if it is a list of segments."""
    file: Path | None = None
    """None where nothing but a folder was named."""


def read_lists(
    files: Sequence[Path], *, root: Path, num_workers: int, takes_folders: bool = False
) -> list[VideoList]:
    """Return the lists of videos; if none is named, one of all that is named like a video under root.

    If there is no such file either, and the step takes folders of pictures, one of those.

    Lists are read in all forms that training reads, and their labels are left as they are written.

    Raises:
        ValueError: A list is none of paths and labels, two lists have one name, there is no video, or
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
    from data_prep.lists.reading import read_list  # here, since it imports PyTorch, which takes seconds

    lists: list[VideoList] = []
    for file in files:
        if file.name in [one.name for one in lists]:
            raise ValueError(f"two lists are called {file.name}; rename one of them")
        lists.append(read_list(file))
    paths = paths_of(lists)
    if not paths:
        raise ValueError(f"{', '.join(map(str, files))} list no video; expected rows below path,label")
    if not any(os.path.lexists(root / path) for path in paths):
        raise ValueError(
            f"{root} holds none of the {len(paths):,} videos listed, not even {paths[0]}; --root is the "
            "folder that the paths start from"
        )
    return lists


def listed_checksums(lists: Sequence[VideoList]) -> dict[str, int]:
    """Return path -> checksum, of lists that have any."""
    return {video.path: video.crc32 for one in lists for video in one.videos if video.crc32 is not None}


def listed_videos(root: Path, *, num_workers: int) -> list[str]:
    """Return `video_names`, under a progress bar: a folder may hold 300,000, on a slow disk."""
    with progress_bar() as bar:
        task = bar.add_task("list videos", total=None)
        names = video_names(root, num_workers=num_workers, advance=partial(bar.advance, task))
        bar.update(task, total=len(names))
    return names


def paths_of(lists: Sequence[VideoList]) -> list[str]:
    """Return every path once, in the order in which the lists name them first."""
    return list(dict.fromkeys(video.path for one in lists for video in one.videos))


def write_list(file: Path, videos: Sequence[ListedVideo], *, bounds: Sequence[str] = ()) -> None:
    """Write one list, with the columns that its segments, if it is one of segments, have."""
    rows = ((video.path, *video.segment, video.label) for video in videos)
    write_table(file, ("path", *bounds, "label"), rows)


def copy_classes(lists: Sequence[Path], output: Path, *, partial: Path) -> None:
    """Copy the class names that lie beside the lists, if they do, to the output, by way of partial."""
    for folder in dict.fromkeys(file.parent for file in lists):
        if (folder / CLASSES).exists() and folder.resolve() != output.resolve():
            with replacing(output / CLASSES, partial=partial):
                shutil.copyfile(folder / CLASSES, partial)
