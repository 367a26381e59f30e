"""What the official files of a data set say, whichever they are: clips, splits, classes."""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class OfficialFileError(ValueError):
    """An official file is not as its data set's files are."""


class Times(NamedTuple):
    """When in its video a clip is."""

    start: float
    """In seconds from the first frame."""
    end: float
    """Likewise; the frame that begins there is not of the clip."""

    def __str__(self) -> str:
        """Return both as a list and the names of clips have them, as 12.5,20."""
        return f"{in_short(self.start)},{in_short(self.end)}"

    def why_none(self, duration: float | None = None) -> str | None:
        """Return why no frame can lie between them, or None.

        Args:
            duration: Of the video, in seconds, where its data set says it.
        """
        if self.start < 0:
            return f"begins at {in_short(self.start)} s, before the video"
        if self.end <= self.start:
            return f"is empty: from {in_short(self.start)} to {in_short(self.end)} s"
        if duration is not None and self.start >= duration:
            return f"begins at {in_short(self.start)} s, and the video ends at {in_short(duration)} s"
        return None


class ListedClip(NamedTuple):
    """One clip that an official list names."""

    stems: tuple[str, ...]
    """File names without ending that it may have, the surest first."""
    class_names: tuple[str, ...]
    """None where a test set is not labelled; of several labels a video any number."""
    times: Times | None = None
    """Of a clip that is part of its file."""

    @property
    def name(self) -> str:
        """Return what reports call it: a part as in the video_id of gcvideo, v_abc#t=12.5,20."""
        return self.stems[0] if self.times is None else f"{self.stems[0]}#t={self.times}"

    @property
    def class_name(self) -> str:
        """Return the names of its classes as one text, which is empty where it has none."""
        return ";".join(self.class_names)


class Splits(NamedTuple):
    """The official lists of a data set, each in its own order."""

    train: list[ListedClip]
    val: list[ListedClip]
    test: list[ListedClip]


class Refused(NamedTuple):
    """An annotation that no sample can be made of."""

    split: str
    clip: str
    class_name: str
    reason: str
    where: str
    """File and line, or file and key."""


class OfficialLists(NamedTuple):
    """Everything that the official files say."""

    splits: Splits
    class_names: tuple[str, ...] | None = None
    """In the order of their labels, where the data set numbers them; else they are sorted."""
    refused: tuple[Refused, ...] = ()


def in_short(seconds: float) -> str:
    """Return a time as people write it, to the microsecond: 12.5, 20."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def read_text(file: Path) -> str:
    """Return the text of an official file, in UTF-8."""
    if not file.is_file():
        raise OfficialFileError(f"{file}: no such file; download the data set's annotations first")
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise OfficialFileError(f"{file}: is no text; expected the data set's own annotation file") from None


def read_json(file: Path) -> Any:
    """Return what an official JSON file says."""
    try:
        return json.loads(read_text(file))
    except (json.JSONDecodeError, RecursionError) as error:
        raise OfficialFileError(f"{file}: is not JSON ({error}); fetch it again") from None


def read_rows(file: Path, *, delimiter: str | None = None) -> list[tuple[int, list[str]]]:
    """Return the rows of an official table that are not blank, each with the number of its last line.

    Args:
        file: The table.
        delimiter: What parts its columns; by default a tab if the first line has one, or else a comma.

    Raises:
        OfficialFileError: It is no CSV, or has no row.
    """
    text = read_text(file)
    if delimiter is None:
        delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows = [
            (reader.line_num, [cell.strip() for cell in cells])
            for cells in reader
            if any(cell.strip() for cell in cells)
        ]
    except csv.Error as error:
        raise OfficialFileError(f"{file}:{reader.line_num}: is not CSV ({error}); fetch it again") from error
    if not rows:
        raise OfficialFileError(f"{file}: lists no clip; fetch it again")
    return rows


def read_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of an official file that are not blank, with their numbers from 1."""
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def seconds_of(value: object) -> float:
    """Return the time that a cell or a JSON value holds; ValueError if it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is no time in seconds")
    if not math.isfinite(seconds := float(value)):
        raise ValueError(f"{value!r} is no time in seconds")
    return seconds


def checked_class_names(file: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of an official class file.

    Raises:
        OfficialFileError: There is none, or one stands there twice.
    """
    found = tuple(names)
    if not found:
        raise OfficialFileError(f"{file}: names no class; fetch it again")
    if len(set(found)) < len(found):
        twice = next(name for place, name in enumerate(found) if name in found[:place])
        raise OfficialFileError(f"{file}: names class {twice!r} twice; fetch it again")
    return found


def shown(cells: Sequence[str], delimiter: str = ",") -> str:
    """Return a row in quotes, and not all of a long one."""
    text = delimiter.join(cells)
    return repr(text if len(text) <= 80 else f"{text[:80]}...")
