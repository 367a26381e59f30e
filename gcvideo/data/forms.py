"""The forms in which people write lists of videos, told apart by a list's first line."""

import csv
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import NamedTuple, Protocol, runtime_checkable

from gcvideo.clip import Verified

INTEGER = re.compile(r"\s*-?[0-9]{1,18}\s*")
"""One of 64 bits."""
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?")
*VERIFIED_COLUMNS, CHECKSUM_COLUMN = Verified._fields
PATH_COLUMNS = ("path", "video", "video_path", "file", "file_path", "filepath", "file_name", "filename")
LABEL_COLUMNS = ("label", "label_id", "label_index", "label_name")
LABEL_COLUMNS += ("class", "class_id", "class_index", "class_name")
SEPARATORS = ",\t;"
SEGMENT_COLUMN = re.compile(
    r"(t|time|frame)?_?(?:(start|begin)|end|stop)_?(s|sec|seconds|time|timestamp|frame)?"
)
JSON = re.compile(r"""\s*[\[{]\s*(?:["{\[\]}]|$)""")
WORDS = re.compile(r"[A-Za-z][A-Za-z_ -]*")
NUMBER_BEHIND = re.compile(r"\s-?[0-9]+$")
ODD_SEPARATOR = re.compile(r".*\.\w+?(\W+)-?[0-9]+\s*")

IsRow = Callable[[str, str], bool]
"""Whether the one may be the path and the other the label of a video."""


class RowError(ValueError):
    """What is wrong with the first of some rows that are not as they must be."""


class Bounds(NamedTuple):
    """Where the segments of some rows start and end, as written."""

    starts: Sequence[str]
    ends: Sequence[str]
    in_frames: bool


class Cells(NamedTuple):
    """Some rows, column by column, as written."""

    path: Sequence[str]
    label: Sequence[str] = ()
    """Empty where the list has none."""
    verified: Sequence[Sequence[str]] = ()
    """VERIFIED_COLUMNS and perhaps CHECKSUM_COLUMN; or the number of frames alone; or nothing."""
    bounds: Bounds | None = None
    """None where rows are whole videos."""


class Columns(NamedTuple):
    """Which cells of a row are what."""

    path: int
    label: int | None = None
    verified: Sequence[int] = ()
    bounds: tuple[int, int] | None = None
    in_frames: bool = False
    classes: Sequence[tuple[int, str]] = ()
    """Of each class, in place of a label, the column that says whether the video shows it."""

    @property
    def last(self) -> int:
        """The last of them."""
        return max(
            *(self.path, self.label or 0, *self.verified, *(self.bounds or ())),
            *(column for column, _ in self.classes),
            0,
        )


class Form(NamedTuple):
    """How a list is written."""

    split: Callable[[Sequence[str]], Cells]
    """Takes lines apart."""
    has_header: bool
    has_labels: bool


@runtime_checkable
class FormOfList(Protocol):
    """Tells the form of a list of paths and labels by its first line."""

    def __call__(self, first: str, *, is_row: IsRow) -> Form: ...


def labelled_form(first: str, *, is_row: IsRow) -> Form:
    """Return the form of a list of paths and labels that begins with this line.

    Raises:
        RowError: The line is a header that lacks one of the two, or no line of a list.
    """
    form = form_of(first, is_row=is_row)
    if form is not None and form.has_labels:
        return form
    separators = [separator for separator in SEPARATORS if len(split_cells(first, separator)) > 1]
    cells = split_cells(first, separators[0]) if separators else first.split()
    names = [cell.lower() for cell in cells]
    if form is not None or "path" in names or "label" in names:
        columns = ", ".join(cell if cell.isprintable() else repr(cell) for cell in cells)
        raise RowError(
            f"the header has columns {columns}; expected path and label among them{_origin(names)}"
        )
    if {"path", "label"} <= set(re.split(r"\W+", first.lower())):
        raise RowError(f"{_shown(first)} is no header; expected path,label parted by a comma")
    if len(cells) > 1 and all(map(WORDS.fullmatch, cells)):
        raise RowError(
            f"{first!r} is no row `path,label`; if it is a header, call its columns path and label"
        )
    # What is wrong with it as a row is said where rows are read.
    if separators and (separators[0] != "," or " " not in first.strip() or len(cells) == 2):
        return Form(_split_pairs(separators[0]), False, True)
    return Form(by_space, False, True)


def form_of(first: str, *, is_row: IsRow) -> Form | None:
    """Return the form of a list that begins with this line; None if it may be one path a line.

    Raises:
        RowError: Lists of this form mean what is not read.
    """
    if "\r" in first.rstrip("\r"):
        raise RowError(r"its lines end with '\r' alone, as on old Macs; write them again with '\n'")
    if first.lower().startswith("sep="):
        raise RowError(f"{_shown(first)} is for spreadsheets; remove the line")
    if JSON.match(first):
        raise RowError(f"{_shown(first)} is JSON; expected a header path,label and a row for each video")
    for separator in SEPARATORS:
        cells = split_cells(first, separator)
        if (columns := header(cells)) is not None:
            split = partial(by_separator, separator=separator, columns=columns, width=len(cells))
            return Form(split, True, columns.label is not None)
        _refuse_unnamed_segments(cells, is_row)
        if len(cells) > 1 and is_row(cells[0], cells[1]):
            _refuse_numbers(cells)
            return Form(_split_pairs(separator), False, True)
        _refuse_label_sets(cells, is_row)
    words = first.split()
    if len(words) == 2 and header(words) == Columns(0, 1):
        return Form(by_space, True, True)
    if len(words) > 1 and is_row(*first.rsplit(None, 1)):
        _refuse_numbers(words)
        return Form(by_space, False, True)
    return None


def _split_pairs(separator: str) -> Callable[[Sequence[str]], Cells]:
    """Return what takes rows of a path and a label apart."""
    return partial(by_separator, separator=separator, columns=Columns(0, 1), width=2)


def header(cells: Sequence[str]) -> Columns | None:
    """Return where path, label, segment and what is verified stand, if this is a header that names a path.

    Raises:
        RowError: Its columns mean more than one thing.
    """
    names = [cell.strip().lower() for cell in cells]
    path, label = _column(names, PATH_COLUMNS), _column(names, LABEL_COLUMNS)
    if path is None or (label is None and "path" not in names):
        return None
    columns = _with_bounds(Columns(path, label), names)
    if label is None or not set(VERIFIED_COLUMNS) <= set(names):
        return columns
    checksum = [CHECKSUM_COLUMN] if CHECKSUM_COLUMN in names else []  # older lists have none
    return columns._replace(verified=[*map(names.index, [*VERIFIED_COLUMNS, *checksum])])


def _with_bounds(columns: Columns, names: Sequence[str]) -> Columns:
    """Return the columns with those of segments, if there are any: in seconds, or in frames."""
    found = [(place, match) for place, name in enumerate(names) if (match := SEGMENT_COLUMN.fullmatch(name))]
    if not found:
        return columns
    starts = [place for place, match in found if match[2]]
    ends = [place for place, match in found if not match[2]]
    in_frames = {"frame" in (match[1], match[3]) for _, match in found}
    if len(starts) != 1 or len(ends) != 1 or len(in_frames) > 1:
        raise RowError(
            f"the header has columns {', '.join(match[0] for _, match in found)}; expected one start and one "
            "end of a segment, in seconds (start,end) or in frames (start_frame,end_frame)"
        )
    return columns._replace(bounds=(starts[0], ends[0]), in_frames=in_frames == {True})


def label_parts(label: str) -> list[str]:
    """Return the labels of one cell: parted by semicolons, or numbers by commas or spaces."""
    parts = [part.strip() for part in label.split(";")]
    numbers = label.replace(",", " ").replace(";", " ").split()
    return numbers if len(numbers) > 1 and all(map(INTEGER.fullmatch, numbers)) else parts


def _refuse_label_sets(cells: Sequence[str], is_row: IsRow) -> None:
    """Refuse `path,0;3`, which else were a path with a comma and a label behind a semicolon."""
    if len(cells) == 2 and ";" in cells[1] and all(is_row(cells[0], part) for part in label_parts(cells[1])):
        raise RowError(
            f"{cells[0]!r} has several labels, {cells[1]!r}; expected one, or data.multi_label true"
        )


def _refuse_unnamed_segments(cells: Sequence[str], is_row: IsRow) -> None:
    """Refuse `path,start,end,label` without a header, which does not say whether it is seconds or frames."""
    if len(cells) == 4 and all(map(NUMBER.fullmatch, cells[1:3])) and is_row(cells[0], cells[3]):
        raise RowError(
            f"{','.join(cells)!r} may be a segment; name its columns in a header: path,start,end,label for "
            "seconds, or path,start_frame,end_frame,label"
        )


def _column(names: Sequence[str], words: Sequence[str]) -> int | None:
    """Return which of the columns is called by the first of these words, or else by any of them."""
    called = [name for name in names if name == words[0]] or [name for name in names if name in words]
    if len(called) > 1:
        found = f"the header has columns {' and '.join(called)}"
        raise RowError(f"{found}; call the one that is meant {words[0]}, and no other")
    return names.index(called[0]) if called else None


def _origin(names: Sequence[str]) -> str:
    is_kinetics = "youtube_id" in names or "youtube identifier" in names
    return "; data_prep/annotations.py kinetics makes lists of the data set's own files" * is_kinetics


def _refuse_numbers(cells: Sequence[str]) -> None:
    numbers = [str(number) for number in range(len(cells))]
    if list(cells) == numbers or list(cells) == ["", *numbers[:-1]]:
        raise RowError(
            f"{','.join(cells)} is the header that pandas writes for columns without names; call them path "
            "and label"
        )


def split_cells(line: str, separator: str = ",") -> list[str]:
    """Return the cells of one line, without the spaces around them; of what is not CSV, the line."""
    try:
        (cells,) = _csv_rows([line], separator)
    except RowError:
        return [line]
    return [cell.strip() for cell in cells]


def _csv_rows(lines: Sequence[str], separator: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise RowError(f"{_shown(lines[0])} is not CSV ({error}); check its quotes") from error


def by_separator(lines: Sequence[str], *, separator: str, columns: Columns, width: int) -> Cells:
    """Return these columns of lines that are rows of `width` cells."""
    rows = csv_rows(lines, separator=separator, least=columns.last + 1, width=width)

    def column(place: int) -> list[str]:
        return list(map(itemgetter(place), rows))

    bounds = None
    if columns.bounds is not None:
        start, end = columns.bounds
        bounds = Bounds(column(start), column(end), columns.in_frames)
    label = column(columns.label) if columns.label is not None else ()
    return Cells(column(columns.path), label, [column(place) for place in columns.verified], bounds)


def csv_rows(lines: Sequence[str], *, separator: str, least: int, width: int) -> list[list[str]]:
    """Return the cells of lines that each have `least` of them, and beyond `width` no more but empty ones.

    Raises:
        RowError: A line is no such row.
    """
    rows = _csv_rows(lines, separator)
    lengths = set(map(len, rows))
    # Quotes that are left open make one row of several lines.
    if len(rows) < len(lines) or min(lengths) < least:
        raise RowError(no_row(lines[0]))
    if max(lengths) > width:
        _refuse_more_cells(rows, width)
    return rows


def _refuse_more_cells(rows: Sequence[Sequence[str]], width: int) -> None:
    for cells in rows:
        if any(cell.strip() for cell in cells[width:]):
            found = f"{','.join(cells)!r} has {len(cells)} cells; expected {width}"
            if INTEGER.fullmatch(cells[0]):
                raise RowError(
                    f"{found}; if the first is an index, leave it out, or name the columns in a header"
                )
            raise RowError(
                f"{found}; several labels of a video stand in one cell, as 0;3 (data.multi_label), a path "
                "with commas stands in double quotes, and a header path,label,... names columns to pass over"
            )


def by_space(lines: Sequence[str]) -> Cells:
    """Return paths and labels of lines `path label`; the last space parts them."""
    pairs = [line.rsplit(None, 1) for line in lines]
    if min(map(len, pairs)) < 2:
        raise RowError(no_row(lines[0]))
    paths, labels = map(list, zip(*pairs, strict=True))
    for row, path in enumerate(paths):
        if path[-1].isdigit() and NUMBER_BEHIND.search(path):
            raise RowError(
                f"{lines[row]!r} has more than one number behind the path; folders of frames are read with "
                "data.source frames, and several labels with data.multi_label true; expected `path label`"
            )
        if path[-1] == '"':
            paths[row] = unquoted_path(path)
    return Cells(paths, labels)


def by_line(lines: Sequence[str]) -> Cells:
    """Return lines that are one path each."""
    return Cells(list(map(unquoted_path, lines)))


def unquoted_path(path: str) -> str:
    """Return a path without the double quotes around it, in which CSV writes a quote twice."""
    stripped = path.strip()
    is_quoted = len(stripped) > 2 and stripped[0] == stripped[-1] == '"'
    return stripped[1:-1].replace('""', '"') if is_quoted else path


def no_row(line: str) -> str:
    """Say why a line is no row."""
    said = f"{_shown(line)} is not a row `path,label` or `path label`"
    if line.lstrip().startswith("#"):
        return f"{said}; comments are not read, remove it"
    if (found := ODD_SEPARATOR.fullmatch(line)) is not None:
        sign = found[1].strip(" ") or found[1]
        name = f" ({unicodedata.name(sign, 'unnamed')})" if len(sign) == 1 and not sign.isascii() else ""
        return f"{said}; its cells are parted by {sign!a}{name}, write a comma"
    return said


def _shown(line: str) -> str:
    """Return a line in quotes, with what cannot be seen escaped, and not all of a long one."""
    return repr(line if len(line) <= 200 else f"{line[:200]}...")
