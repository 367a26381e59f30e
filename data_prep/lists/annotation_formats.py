"""What each data set's own files say: which clips there are, in which split, of which class."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from statistics import mode
from typing import NamedTuple

from data_prep.lists.official import (
    ListedClip,
    OfficialFileError,
    Refused,
    Splits,
    Times,
    read_json,
    read_lines,
    read_rows,
    shown,
)

_COLUMNS = {
    "label": ("label", "label-name", "label_name", "class label", "class"),
    "id": ("youtube_id", "youtube identifier", "video-id", "video_id", "id"),
    "start": ("time_start", "start time", "start-time", "start_time", "start"),
    "end": ("time_end", "end time", "end-time", "end_time", "end"),
}
_SPLIT_NAMES = frozenset({"train", "val", "validate", "validation", "test", "holdout", "heldout"})
_REMEDY = (
    "expected columns separated by commas or tabs; put a line with their names, such as "
    "label,youtube_id,time_start,time_end, before the others"
)
_YOUTUBE_ID = re.compile(r"[\w-]{11}")


class _KineticsRow(NamedTuple):
    line: int
    youtube_id: str
    times: Times
    class_names: tuple[str, ...]


def kinetics_clips(file: Path) -> list[ListedClip]:
    """Return the clips of one Kinetics-400, -600 or -700 file, in whatever order its columns stand.

    Columns are known by their header (DeepMind's, ActivityNet's) or, without one, by what they
    hold: YouTube identifiers, two times of which the first is earlier, a split, and the class.

    Raises:
        OfficialFileError: A column cannot be told, or a row has none of it.
    """
    clips = []
    for _, youtube_id, times, class_names in _kinetics_rows(file):
        of_clip = f"{youtube_id}_{int(times.start):06d}_{int(times.end):06d}"
        clips.append(ListedClip((of_clip, youtube_id), class_names))
    return clips


def kinetics_parts(file: Path, *, split: str) -> tuple[list[ListedClip], list[Refused]]:
    """Return the clips of such a file as parts of whole YouTube videos, and the empty ones among them.

    Raises:
        OfficialFileError: As `kinetics_clips`.
    """
    clips, refused = [], []
    for line, youtube_id, times, class_names in _kinetics_rows(file):
        clip = ListedClip((youtube_id,), class_names, times)
        if (reason := times.why_none()) is None:
            clips.append(clip)
        else:
            refused.append(Refused(split, clip.name, clip.class_name, reason, f"{file}:{line}"))
    return clips, refused


def _kinetics_rows(file: Path) -> Iterator[_KineticsRow]:
    # Which column means what
    rows = read_rows(file)
    columns = _named_columns([cell.lower() for cell in rows[0][1]])
    if columns is None:
        columns = _guessed_columns(file, [cells for _, cells in rows])
    else:
        rows = rows[1:]
    # What each row says
    for number, cells in rows:
        try:
            times = Times(*(_seconds(cells[columns[name]]) for name in ("start", "end")))
            class_name = cells[columns["label"]] if "label" in columns else ""
            youtube_id = cells[columns["id"]]
        except (IndexError, ValueError):
            raise OfficialFileError(
                f"{file}:{number}: {shown(cells)} is not a row of {', '.join(columns)}; times are seconds "
                "from 0 on"
            ) from None
        yield _KineticsRow(number, youtube_id, times, (class_name,) if class_name else ())


def ucf101_splits(folder: Path, *, split: int) -> Splits:
    """Return UCF101's trainlist0N.txt and testlist0N.txt; it has no validation list, so val is test."""

    def clips(file: Path) -> list[ListedClip]:
        found = []
        for number, line in read_lines(file):
            path = PurePosixPath(line.split()[0])
            if len(path.parts) < 2:
                raise OfficialFileError(f"{file}:{number}: {line!r} is not `Class/video.avi [label]`")
            found.append(ListedClip((path.stem,), (path.parts[-2],)))
        return found

    test = clips(folder / f"testlist{split:02d}.txt")
    return Splits(clips(folder / f"trainlist{split:02d}.txt"), test, test)


def hmdb51_splits(folder: Path, *, split: int) -> Splits:
    """Return HMDB51's <class>_test_splitN.txt: 1 is train, 2 is test, 0 is neither; val is test."""
    files = sorted(folder.glob(f"*_test_split{split}.txt"))
    if not files:
        raise OfficialFileError(f"{folder}: holds no <class>_test_split{split}.txt; unpack them there")
    splits = Splits([], [], [])
    for file in files:
        class_name = file.name.removesuffix(f"_test_split{split}.txt")
        for number, line in read_lines(file):
            name, _, role = line.rpartition(" ")
            if role not in ("0", "1", "2") or not name:
                raise OfficialFileError(f"{file}:{number}: {line!r} is not `video.avi 0|1|2`")
            clip = ListedClip((PurePosixPath(name.strip()).stem,), (class_name,))
            if role == "1":
                splits.train.append(clip)
            elif role == "2":
                splits.val.append(clip)
                splits.test.append(clip)
    return splits


def ssv2_clips(file: Path) -> list[ListedClip]:
    """Return the clips of Something-Something v2's JSON: the class is the template without its brackets.

    Raises:
        OfficialFileError: It is not a list of objects with id and, unless a test list, template.
    """
    rows = read_json(file)
    if not isinstance(rows, list):
        raise OfficialFileError(f"{file}: is not a JSON list of objects with id and template")
    clips = []
    for number, row in enumerate(rows, start=1):
        match row:
            case {"id": str() | int() as name, "template": str(template)}:
                clips.append(ListedClip((str(name),), (re.sub(r"[\[\]]", "", template),)))
            case {"id": str() | int() as name} if "template" not in row:
                clips.append(ListedClip((str(name),), ()))
            case _:
                raise OfficialFileError(
                    f"{file}: entry {number}, {shown([json.dumps(row)])}, is no object with id and template"
                )
    return clips


def folder_splits(paths: Sequence[str], *, val_fraction: float, test_fraction: float, seed: int) -> Splits:
    """Return the splits of a tree of class folders, under train/, val/ and test/ or divided here.

    Args:
        paths: The videos, relative to the root: [split/]class/.../video.
        val_fraction: Where the tree is not divided, this part of each class becomes val.
        test_fraction: And this part becomes test.
        seed: Which videos they are depends on the seed and on each video's path alone.

    Raises:
        ValueError: The fractions are out of range.
        OfficialFileError: A video lies in no class folder.
    """
    if not (val_fraction >= 0 and test_fraction >= 0 and val_fraction + test_fraction < 1):
        raise ValueError(
            f"--val-fraction {val_fraction:g} and --test-fraction {test_fraction:g} leave no train set; "
            "expected fractions whose sum is less than 1"
        )
    splits = Splits([], [], [])
    divided = {path.partition("/")[0] for path in paths} <= set(Splits._fields)
    by_class: dict[str, list[ListedClip]] = {}
    for path in paths:
        parts = PurePosixPath(path).parts
        if len(parts) < 2 + divided:
            raise OfficialFileError(f"{path} lies in no class folder; expected [train|val|test/]class/video")
        clip = ListedClip((path,), (parts[divided],))
        if divided:
            getattr(splits, parts[0]).append(clip)
        else:
            by_class.setdefault(parts[divided], []).append(clip)
    for clips in by_class.values():
        drawn = sorted(clips, key=lambda clip: hashlib.sha256(f"{seed}/{clip.stems[0]}".encode()).digest())
        num_val, num_test = (round(len(clips) * part) for part in (val_fraction, test_fraction))
        splits.val.extend(sorted(drawn[:num_val]))
        splits.test.extend(sorted(drawn[num_val : num_val + num_test]))
        splits.train.extend(sorted(drawn[num_val + num_test :]))
    return splits


def _named_columns(names: Sequence[str]) -> dict[str, int] | None:
    """Return meaning -> column by the header's names, or None if the first row is no header."""
    columns = {
        meaning: names.index(name)
        for meaning, aliases in _COLUMNS.items()
        for name in aliases
        if name in names
    }
    return columns if {"id", "start", "end"} <= columns.keys() else None


def _guessed_columns(file: Path, rows: Sequence[Sequence[str]]) -> dict[str, int]:
    """Return meaning -> column by what the columns hold."""
    # What each column could be
    width = mode(len(cells) for cells in rows)
    usual = [cells for cells in rows if len(cells) >= width]
    columns = [[cells[place] for cells in usual] for place in range(width)]
    ids = [place for place in range(width) if _most(map(_YOUTUBE_ID.fullmatch, columns[place]))]
    numbers = [place for place in range(width) if _most(map(_is_number, columns[place]))]
    pairs = [
        (start, end)
        for start in numbers
        for end in numbers
        if _most(
            float(row[start]) < float(row[end])
            for row in usual
            if _is_number(row[start]) and _is_number(row[end])
        )
    ]
    if not ids or not pairs:
        untold = " and ".join(
            text
            for text, found in (("a YouTube identifier", ids), ("a start and an end", pairs))
            if not found
        )
        raise OfficialFileError(
            f"{file}: no column holds {untold}, and the first line, {shown(rows[0])}, is no header that is "
            f"known; {_REMEDY}"
        )
    # Of several, those with the most to tell
    identifier = max(ids, key=lambda place: len(set(columns[place])))  # classes repeat, clips do not
    start, end = max(pairs, key=lambda pair: sum(len(set(columns[place])) for place in pair))
    found = {"id": identifier, "start": start, "end": end}
    # What is left is the class
    rest = [
        place
        for place in range(width)
        if place not in (*numbers, identifier) and not set(columns[place]) <= _SPLIT_NAMES
    ]
    if len(rest) > 1:
        cells = " or ".join(repr(rows[0][place]) for place in rest)
        raise OfficialFileError(f"{file}:1: which is the class, {cells}, cannot be told; {_REMEDY}")
    return {**found, "label": rest[0]} if rest else found


def _most(found: Iterable[object]) -> bool:
    """Return whether nine of ten are true: the tenth is an error of its own row."""
    held = [bool(one) for one in found]
    return 10 * sum(held) >= 9 * len(held) > 0


def _seconds(cell: str) -> float:
    """Return the time that a cell holds; ValueError if it is none of a video."""
    if not _is_number(cell):
        raise ValueError(f"{cell!r} is no time in seconds")
    return float(cell)


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[0-9]{1,9}(\.[0-9]*)?", cell) is not None
