"""Which videos of a list are not there, found by listing folders and not by asking for every file."""

import logging
import os
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from os.path import dirname, isdir, isfile, join, normpath
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Int64

from gcvideo.clip import VideoRecord
from gcvideo.data.lists.records import VideoRecords
from gcvideo.video_files import SUFFIXES

log = logging.getLogger(__name__)

THREADS = 16
"""On the disk of another machine each folder and each file is a wait."""
ITEMS_OF_A_TASK = 64
TASKS_AT_ONCE = 1024
SECONDS_BETWEEN_REPORTS = 10.0
NUM_NAMED = 5

T = TypeVar("T")
Item = TypeVar("Item")


class Listing(NamedTuple):
    """What some folders hold."""

    keys: "array[int]"
    """Hashes of the files' paths, as of VideoRecords.keys."""
    absent: list[str]
    """Folders that are not there."""


@runtime_checkable
class Packed(Protocol):
    """Videos that are no files here."""

    def missing(self, records: VideoRecords) -> tuple[list[int], str]:
        """Return which of the records cannot be there, in order, and why."""
        ...


def said_of_missing(
    records: VideoRecords,
    *,
    file: Path,
    max_share: float,
    of_folders: bool = False,
    packed: Packed | None = None,
) -> str | None:
    """Return what to say of videos of a list that are not there, if any is missing.

    Args:
        records: The list.
        file: Where it is from, for messages.
        max_share: How many may be missing, 0..1.
        of_folders: Whether videos are folders of pictures.
        packed: What knows of them, where they are no files.

    Raises:
        ValueError: All are missing, or a greater share than this, 0..1.
    """
    if packed is None:
        missing, why = missing_videos(records, of_folders=of_folders), ""
    else:
        missing, why = packed.missing(records)
    if not missing:
        return None
    _, firsts = np.unique(records.keys[missing], return_index=True)
    first = [records[missing[place]] for place in sorted(firsts.tolist())[:NUM_NAMED]]
    more = ", ..." if len(firsts) > len(first) else ""
    are_not_there = "segments are of videos that are" if records.segments else "videos are"
    said = (
        f"{file}: {len(missing):,} of {len(records):,} {are_not_there} not there: "
        f"{', '.join(repr(record.written) for record in first)}{more}"
    )
    if len(missing) < len(records) and len(missing) <= max_share * len(records):
        return f"{said}{f' ({why})' if why else ''}; they are counted as unreadable"
    could_skip = max_share < 1 and len(missing) < len(records)
    skip = " allow for them with data.on_error skip (and data.max_unreadable_share)," * could_skip
    if packed is not None:
        raise ValueError(f"{said}: {why}; pack the list's videos again,{skip} or drop them from the list")
    raise ValueError(
        f"{said} below {records.root}{_likely_reason(first[0], of_folders=of_folders)}; correct data.root or "
        f"data.videos,{skip} or drop them from the list"
    )


def _likely_reason(record: VideoRecord, *, of_folders: bool) -> str:
    """Return why this video may not have been found."""
    if of_folders and record.path.is_file():
        return f" ({record.written!r} is a file; files are read with data.source videos)"
    if record.path.is_dir():
        return f" ({record.written!r} is a folder; frames as pictures are read with data.source frames)"
    archive = next((folder for folder in record.path.parents if folder.is_file()), None)
    if archive is not None:
        return f" ({archive} is a file; unpack it)"
    names = (record.path.name + suffix for suffix in SUFFIXES)
    whole = next((name for name in names if record.path.with_name(name).is_file()), None)
    return f" (but {whole!r} is; names in lists have their endings)" if whole else ""


def said_of_shared(records: VideoRecords, training: VideoRecords, *, file: Path) -> str | None:
    """Return what to say of validation videos that are training videos too, if there are any."""
    shared = np.flatnonzero(np.isin(records.keys, training.keys))
    if not len(shared):
        return None
    by_heart = "val/ metrics then tell what was learnt by heart, and best.ckpt goes by them"
    if not (records.segments and training.segments):
        said = f"{file}: {len(shared):,} of {len(records):,} validation videos are training videos too"
        return f"{said}; {by_heart}"
    said = f"{file}: {len(shared):,} of {len(records):,} validation segments are of training videos"
    overlapping = num_overlapping(records, training, shared)
    if overlapping:
        return f"{said}, and {overlapping:,} of them overlap segments that are trained on; {by_heart}"
    return (
        f"{said}, beside segments that are trained on; other parts of one recording look alike, and val/ "
        "metrics are higher than on other recordings"
    )


def num_overlapping(records: VideoRecords, training: VideoRecords, shared: Int64[np.ndarray, " n"]) -> int:
    """Return how many of these rows share a part of their video with a training segment.

    Segments in seconds and in frames are taken to overlap, since only the video tells.
    """
    in_training = np.flatnonzero(np.isin(training.keys, records.keys[shared]))
    segments: dict[int, list[tuple[float, float, bool]]] = {}
    for row in in_training.tolist():
        segments.setdefault(int(training.keys[row]), []).append(_segment(training, row))
    num = 0
    for row in shared.tolist():
        start, end, in_frames = _segment(records, row)
        num += any(
            other_in_frames != in_frames or (other_start < end and start < other_end)
            for other_start, other_end, other_in_frames in segments[int(records.keys[row])]
        )
    return num


def _segment(records: VideoRecords, row: int) -> tuple[float, float, bool]:
    start, end, in_frames = records.segments
    return float(start[row]), float(end[row]), bool(in_frames[row])


def missing_videos(records: VideoRecords, *, of_folders: bool = False) -> list[int]:
    """Return which of the records have no file, or no folder of pictures, in order.

    A file of many segments is looked for once. Files are asked for one by one only where no folder lists them
    as such: links, and folders that may not be listed.
    """
    folders = sorted({normpath(join(records.root, folder)) for folder in records.folders()})  # noqa: PTH118
    present, absent = array("q"), set[str]()
    kind = os.DirEntry.is_dir if of_folders else os.DirEntry.is_file
    for listing in _in_parallel(lambda some: _listing(records.root, some, kind), folders, "folders"):
        present.extend(listing.keys)
        absent.update(listing.absent)
    if len(absent) == len(folders):
        return list(range(len(records)))
    listed = np.isin(records.keys, np.frombuffer(present, dtype=np.int64))
    rows = np.flatnonzero(~listed)
    _, firsts, video = np.unique(records.keys[rows], return_index=True, return_inverse=True)
    exists = isdir if of_folders else isfile
    asked = rows[firsts].tolist()
    found = _in_parallel(lambda some: _without(records, some, absent, exists), asked, "files")
    without = np.isin(asked, [row for some in found for row in some])
    return rows[without[video]].tolist()


def _listing(root: str, folders: Sequence[str], kind: Callable[..., bool]) -> Listing:
    """List the files of folders, which are absolute, or else the folders in them."""
    below, keys, absent = len(root.rstrip("/")) + 1, array("q"), []
    for folder in folders:
        prefix = f"{folder[below:]}/" if folder != root else ""
        try:
            with os.scandir(folder) as entries:
                keys.extend(
                    hash(prefix + entry.name) for entry in entries if kind(entry, follow_symlinks=False)
                )
        except (FileNotFoundError, NotADirectoryError):
            absent.append(folder)
        except OSError as error:
            log.debug("%s cannot be listed: %s", folder, error)
    return Listing(keys, absent)


def _without(
    records: VideoRecords, rows: Sequence[int], absent: set[str], exists: Callable[[str], bool]
) -> list[int]:
    """Return which of these records have no file, or folder."""
    paths = {row: str(records[row].path) for row in rows}
    return [row for row, path in paths.items() if dirname(path) in absent or not exists(path)]  # noqa: PTH120


def _in_parallel(work: Callable[[Sequence[Item]], T], items: Sequence[Item], what: str) -> Iterator[T]:
    """Yield what comes of the items, some at a time and in order; if that takes long, log how far it is."""
    reported = time.monotonic()
    step = ITEMS_OF_A_TASK * TASKS_AT_ONCE
    with ThreadPoolExecutor(THREADS) as pool:
        for first in range(0, len(items), step):
            part = items[first : first + step]
            tasks = (part[start : start + ITEMS_OF_A_TASK] for start in range(0, len(part), ITEMS_OF_A_TASK))
            for number, done in enumerate(pool.map(work, tasks)):
                yield done
                if time.monotonic() - reported > SECONDS_BETWEEN_REPORTS:
                    looked = first + number * ITEMS_OF_A_TASK
                    log.info("looking for the videos: %d of %d %s", looked, len(items), what)
                    reported = time.monotonic()
