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
*VERIFIED_COLUMNS, CHECKSUM_COLUMN = Verified._fields
PATH_COLUMNS = ("path", "video", "video_path", "file", "file_path", "filepath", "file_name", "filename")
LABEL_COLUMNS = ("label", "label_id", "label_index", "label_name")
LABEL_COLUMNS += ("class", "class_id", "class_index", "class_name")
SEPARATORS = ",\t;"
SEGMENT_COLUMN = re.compile(r"(?:t|time|frame)?_?(?:start|begin|end|stop)_?(?:s|sec|seconds|time|frame)?")
JSON = re.compile(r"""\s*[\[{]\s*(?:["{\[\]}]|$)""")
WORDS = re.compile(r"[A-Za-z][A-Za-z_ -]*")
NUMBER_BEHIND = re.compile(r"\s-?[0-9]+$")
ODD_SEPARATOR = re.compile(r".*\.\w+?(\W+)-?[0-9]+\s*")

Cells = Sequence[Sequence[str]]
"""Rows by columns: path and, if there are all of these, label, VERIFIED_COLUMNS and CHECKSUM_COLUMN."""
IsRow = Callable[[str, str], bool]
"""Whether the one may be the path and the other the label of a video."""


class RowError(ValueError):
    """What is wrong with the first of some rows that are not as they must be."""


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
        return Form(partial(by_separator, separator=separators[0], columns=(0, 1), width=2), False, True)
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
        if (columns := _header(cells)) is not None:
            split = partial(by_separator, separator=separator, columns=columns, width=len(cells))
            return Form(split, True, len(columns) > 1)
        if len(cells) > 1 and is_row(cells[0], cells[1]):
            _refuse_numbers(cells)
            return Form(partial(by_separator, separator=separator, columns=(0, 1), width=2), False, True)
    words = first.split()
    if len(words) == 2 and _header(words) == (0, 1):
        return Form(by_space, True, True)
    if len(words) > 1 and is_row(*first.rsplit(None, 1)):
        _refuse_numbers(words)
        return Form(by_space, False, True)
    return None


def _header(cells: Sequence[str]) -> tuple[int, ...] | None:
    """Return where path, label and what is verified stand, if this is a header that names a path."""
    names = [cell.strip().lower() for cell in cells]
    path, label = _column(names, PATH_COLUMNS), _column(names, LABEL_COLUMNS)
    if path is None or (label is None and "path" not in names):
        return None
    segments = [name for name in names if SEGMENT_COLUMN.fullmatch(name)]
    if segments:
        raise RowError(
            f"the header has columns {', '.join(segments)}, but segments of videos are not read; cut them "
            "out as videos of their own, or drop these columns to use the whole videos"
        )
    if label is None:
        return (path,)
    if not set(VERIFIED_COLUMNS) <= set(names):
        return (path, label)
    checksum = [CHECKSUM_COLUMN] if CHECKSUM_COLUMN in names else []  # older lists have none
    return (path, label, *map(names.index, [*VERIFIED_COLUMNS, *checksum]))


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


def by_separator(lines: Sequence[str], *, separator: str, columns: Sequence[int], width: int) -> Cells:
    """Return these columns of lines that are rows of `width` cells."""
    rows = _csv_rows(lines, separator)
    lengths = set(map(len, rows))
    # Quotes that are left open make one row of several lines.
    if len(rows) < len(lines) or min(lengths) <= max(columns):
        raise RowError(_no_row(lines[0]))
    if max(lengths) > width:
        _refuse_more_cells(rows, width)
    return [list(map(itemgetter(column), rows)) for column in columns]


def _refuse_more_cells(rows: Sequence[Sequence[str]], width: int) -> None:
    for cells in rows:
        if any(cell.strip() for cell in cells[width:]):
            found = f"{','.join(cells)!r} has {len(cells)} cells; expected {width}"
            if INTEGER.fullmatch(cells[0]):
                raise RowError(
                    f"{found}; if the first is an index, leave it out, or name the columns in a header"
                )
            raise RowError(
                f"{found}; one label a video is read; a path with commas stands in double quotes, and other "
                "columns are passed over if a header path,label,... names them"
            )


def by_space(lines: Sequence[str]) -> Cells:
    """Return paths and labels of lines `path label`; the last space parts them."""
    pairs = [line.rsplit(None, 1) for line in lines]
    if min(map(len, pairs)) < 2:
        raise RowError(_no_row(lines[0]))
    paths, labels = map(list, zip(*pairs, strict=True))
    for row, path in enumerate(paths):
        if path[-1].isdigit() and NUMBER_BEHIND.search(path):
            raise RowError(
                f"{lines[row]!r} has more than one number behind the path; folders of frames are read with "
                "data.source frames, and several labels not at all: write `path label`"
            )
        if path[-1] == '"':
            paths[row] = _unquoted(path)
    return paths, labels


def by_line(lines: Sequence[str]) -> Cells:
    """Return lines that are one path each."""
    return (list(map(_unquoted, lines)),)


def _unquoted(path: str) -> str:
    """Return a path without the double quotes around it, in which CSV writes a quote twice."""
    stripped = path.strip()
    is_quoted = len(stripped) > 2 and stripped[0] == stripped[-1] == '"'
    return stripped[1:-1].replace('""', '"') if is_quoted else path


def _no_row(line: str) -> str:
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
