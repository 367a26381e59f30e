"""The text of a list of videos: lines, their forms, and the cells of each."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from gcvideo.clip import Verified

INTEGER = re.compile(r"\s*-?[0-9]+\s*")
VERIFIED_COLUMNS = Verified._fields
LINES_AT_ONCE = 1 << 12
"""More would be slower: every list that lives costs Python's garbage collection."""

T = TypeVar("T")
Cells = Sequence[Sequence[str]]
"""Rows by columns: path, label and, where there are all of these, VERIFIED_COLUMNS."""


class AnnotationError(ValueError):
    """An annotation or class-name file says something that cannot be trained on."""


class RowError(ValueError):
    """What is wrong with the first of some rows that are not as they must be."""


def read_rows(file: Path, convert: Callable[[Cells], T]) -> Iterator[T]:
    """`convert` of all rows that are not blank, of many at once.

    Where it raises RowError, or the lines are no rows, they are gone through one by one to name the line.
    """
    numbered = ((number, line) for number, line in enumerate(read_lines(file), start=1) if line.strip())
    first = next(numbered, None)
    if first is None:
        return
    with named(file, first[0]):
        split, has_header = _form(first[1])
    block = [] if has_header else [first]
    while block := [*block, *islice(numbered, LINES_AT_ONCE)]:
        try:
            rows = convert(split([line for _, line in block]))
        except RowError:
            for number, line in block:
                with named(file, number):
                    rows = convert(split([line]))
                yield rows
        else:
            yield rows
        block = []


def read_lines(file: Path) -> Iterator[str]:
    """The lines of a file in UTF-8, without the signs that end them."""
    if not file.is_file():
        raise AnnotationError(f"{file}: no such file; pass its path, or make it with data_prep")
    # Split at \n alone: a file name may hold other signs that end a line, such as U+2028.
    with file.open(encoding="utf-8-sig", newline="\n") as lines:
        try:
            for line in lines:
                yield line.removesuffix("\n")
        except UnicodeDecodeError as error:
            found = f"byte 0x{error.object[error.start]:02x}: {error.reason}"
            raise AnnotationError(f"{file}: is not UTF-8 text ({found}); write it again as UTF-8") from error


@contextmanager
def named(file: Path, line: int) -> Iterator[None]:
    """A RowError becomes an AnnotationError with file and line."""
    try:
        yield
    except RowError as error:
        raise AnnotationError(f"{file}:{line}: {error}") from error


def _form(first: str) -> tuple[Callable[[Sequence[str]], Cells], bool]:
    """What splits the lines of a file that begins like this, and whether that beginning is a header."""
    cells = split_cells(first)
    if "path" in cells and "label" in cells:
        verified = [cells.index(name) for name in VERIFIED_COLUMNS if name in cells]
        if len(verified) < len(VERIFIED_COLUMNS):
            verified = []
        columns = (cells.index("path"), cells.index("label"), *verified)
        return partial(by_commas, columns=columns), True
    if "path" in cells or "label" in cells:
        raise RowError(f"the header has columns {', '.join(cells)}; expected path and label among them")
    if len(cells) > 1 and (INTEGER.fullmatch(cells[1]) or " " not in first.strip()):
        return partial(by_commas, columns=(0, 1)), False
    return _by_space, False


def split_cells(line: str) -> list[str]:
    """The cells of one line of CSV, without the spaces around them."""
    (cells,) = _csv_rows([line])
    return [cell.strip() for cell in cells]


def _csv_rows(lines: Sequence[str]) -> list[list[str]]:
    try:
        return list(csv.reader(lines, strict=True))
    except csv.Error as error:
        raise RowError(f"{lines[0]!r} is not CSV ({error}); check its quotes") from error


def by_commas(lines: Sequence[str], *, columns: Sequence[int]) -> Cells:
    """These columns of lines of CSV, each of which is one row."""
    rows = _csv_rows(lines)
    # Quotes that are left open make one row of several lines.
    if len(rows) < len(lines) or min(map(len, rows)) <= max(columns):
        raise RowError(f"{lines[0]!r} is not a row `path,label`")
    return [list(map(itemgetter(column), rows)) for column in columns]


def _by_space(lines: Sequence[str]) -> Cells:
    """`path label`; the last space parts them."""
    paths, _, labels = zip(*(line.strip().rpartition(" ") for line in lines), strict=True)
    if not all(paths):
        raise RowError(f"{lines[0]!r} is not a row `path,label` or `path label`")
    return paths, labels
