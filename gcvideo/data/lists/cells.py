"""Rows of a list taken apart into cells: the path, the label and what else there is."""

import csv
import re
import unicodedata
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

INTEGER = re.compile(r"\s*-?[0-9]{1,18}\s*")
"""One of 64 bits."""
SEPARATORS = ",\t;"
NUMBER_BEHIND = re.compile(r"\s-?[0-9]+$")
ODD_SEPARATOR = re.compile(r".*\.\w+?(\W+)-?[0-9]+\s*")


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


def split_cells(line: str, separator: str = ",") -> list[str]:
    """Return the cells of one line, without the spaces around them; of what is not CSV, the line."""
    try:
        (cells,) = _csv_rows([line], separator)
    except RowError:
        return [line]
    return [cell.strip() for cell in cells]


def label_parts(label: str) -> list[str]:
    """Return the labels of one cell: parted by semicolons, or numbers by commas or spaces."""
    parts = [part.strip() for part in label.split(";")]
    numbers = label.replace(",", " ").replace(";", " ").split()
    return numbers if len(numbers) > 1 and all(map(INTEGER.fullmatch, numbers)) else parts


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


def _csv_rows(lines: Sequence[str], separator: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise RowError(f"{shown(lines[0])} is not CSV ({error}); check its quotes") from error


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
    said = f"{shown(line)} is not a row `path,label` or `path label`"
    if line.lstrip().startswith("#"):
        return f"{said}; comments are not read, remove it"
    if (found := ODD_SEPARATOR.fullmatch(line)) is not None:
        sign = found[1].strip(" ") or found[1]
        name = f" ({unicodedata.name(sign, 'unnamed')})" if len(sign) == 1 and not sign.isascii() else ""
        return f"{said}; its cells are parted by {sign!a}{name}, write a comma"
    return said


def shown(line: str) -> str:
    """Return a line in quotes, with what cannot be seen escaped, and not all of a long one."""
    return repr(line if len(line) <= 200 else f"{line[:200]}...")
