"""The forms in which people write lists of videos, told apart by a list's first line."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

from gcvideo.data.lists.cells import (
    SEPARATORS,
    Cells,
    Columns,
    RowError,
    by_separator,
    by_space,
    label_parts,
    shown,
    split_cells,
)
from gcvideo.data.lists.headers import header

JSON = re.compile(r"""\s*[\[{]\s*(?:["{\[\]}]|$)""")
WORDS = re.compile(r"[A-Za-z][A-Za-z_ -]*")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?")
IsRow = Callable[[str, str], bool]
"""Whether the one may be the path and the other the label of a video."""


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
        raise RowError(f"{shown(first)} is no header; expected path,label parted by a comma")
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
        raise RowError(f"{shown(first)} is for spreadsheets; remove the line")
    if JSON.match(first):
        raise RowError(f"{shown(first)} is JSON; expected a header path,label and a row for each video")
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
