"""The text of a list of videos: its lines, many at once, and where one of them is wrong."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

from gcvideo.data.lists.cells import Cells, RowError
from gcvideo.data.lists.forms import Form

LINES_AT_ONCE = 1 << 12
"""More would be slower: every list that lives costs Python's garbage collection."""
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

T = TypeVar("T")


class AnnotationError(ValueError):
    """An annotation or class-name file says something that cannot be trained on."""


def read_rows(file: Path, convert: Callable[[Cells], T], form_of: Callable[[str], Form]) -> Iterator[T]:
    """Yield `convert` of all rows that are not blank, of many at once.

    Where it raises RowError, or the lines are no rows, they are gone through one by one to name the line.

    Args:
        file: The list.
        convert: What is made of the cells of some rows.
        form_of: The form of a list that begins with a line.
    """
    numbered = numbered_lines(file)
    first = next(numbered, None)
    if first is None:
        return
    with named(file, first[0]):
        form = form_of(first[1])
    block = [] if form.has_header else [first]
    while block := [*block, *islice(numbered, LINES_AT_ONCE)]:
        try:
            rows = convert(form.split([line for _, line in block]))
        except RowError:
            for number, line in block:
                with named(file, number):
                    rows = convert(form.split([line]))
                yield rows
        else:
            yield rows
        block = []


def lines_of_rows(file: Path, rows: Sequence[int], *, num_rows: int) -> list[int]:
    """Return the numbers, from 1, of the lines on which these rows, from 0, of a list stand."""
    numbers = [number for number, _ in numbered_lines(file)]
    header = len(numbers) - num_rows
    return [numbers[header + row] for row in rows]


def numbered_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers from 1."""
    return ((number, line) for number, line in enumerate(read_lines(file), start=1) if line.strip())


def read_lines(file: Path) -> Iterator[str]:
    """Yield the lines of a file in UTF-8, without the signs that end them."""
    if not file.is_file():
        found = "is a folder" if file.is_dir() else "no such file"
        raise AnnotationError(f"{file}: {found}; pass the file's path, or make it with data_prep")
    # Split at \n alone: a file name may hold other signs that end a line, such as U+2028.
    with file.open(encoding="utf-8-sig", newline="\n") as lines:
        try:
            for line in lines:
                yield line.removesuffix("\n")
        except UnicodeDecodeError:
            raise AnnotationError(_no_text(file)) from None


def _no_text(file: Path) -> str:
    """Say where a file is not UTF-8."""
    content = file.read_bytes()
    if content.startswith(UTF16_MARKS):
        return f"{file}:1: is UTF-16 text; write the file again as UTF-8"
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return (
            f"{file}:{line}: is not UTF-8 text (byte 0x{content[error.start]:02x}: {error.reason}); "
            "write the file again as UTF-8"
        )
    return f"{file}: was changed while it was read; try again"


@contextmanager
def named(file: Path, line: int) -> Iterator[None]:
    """Turn a RowError into an AnnotationError with file and line."""
    try:
        yield
    except RowError as error:
        raise AnnotationError(f"{file}:{line}: {error}") from error
