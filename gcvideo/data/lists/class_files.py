"""Class-name files: one name a line, or what else people write them as."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gcvideo.data.lists.cells import INTEGER, split_cells
from gcvideo.data.lists.forms import JSON
from gcvideo.data.lists.rows import AnnotationError, read_lines

HEADERS = {"id", "index", "label", "label_id", "label_index", "class", "classes", "class_id", "class_index"}
HEADERS |= {"name", "names", "label_name", "class_name"}
NUMBER_FIRST = re.compile(r"(?P<number>[0-9]{1,18})\s+(?P<name>.+)")
NUMBER_LAST = re.compile(r"(?P<name>.+?)\s+(?P<number>[0-9]{1,18})")
UNSEEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u00ad\u200b\u2028\u2029\u2060\ufeff]")
"""Signs that two names may differ in and nobody can see; without those that join letters or emoji."""


class Numbered(NamedTuple):
    """Names with numbers, in the order of the file."""

    numbers: Sequence[int]
    names: Sequence[str]
    first_line: int


def read_class_names(file: Path) -> list[str]:
    """Return the class names in the order of their labels.

    One name a line, whose number from 0 is the label; or two columns, number and name in either order, parted
    by comma, tab, semicolon or space, with a header or without; or JSON, a list of names or a mapping between
    names and numbers. Numbers, where there are any, are 0..K-1 in any order.

    Raises:
        AnnotationError: The file is missing or empty, a name stands in it twice, or its numbers or a header
            would shift the labels.
    """
    lines = [line.strip() for line in read_lines(file)]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise AnnotationError(f"{file}: names no class; expected one name a line")
    if file.suffix.lower() == ".json" or JSON.match(lines[0]):
        return _from_json(file, "\n".join(lines))
    for line, name in enumerate(lines, start=1):
        if not name:
            raise AnnotationError(f"{file}:{line}: is blank, which would shift the labels below; remove it")
        if UNSEEN.search(name):
            raise AnnotationError(f"{file}:{line}: {name!r} holds a sign that cannot be seen; remove it")
    numbered = _columns(file, lines) or _spaced(lines)
    if numbered is not None:
        return _in_order(file, numbered)
    if lines[0].lower() in HEADERS:
        raise AnnotationError(f"{file}:1: {lines[0]!r} is a header, which would shift the labels; remove it")
    _check_different(file, lines)
    return lines


def _columns(file: Path, lines: Sequence[str]) -> Numbered | None:
    """Return the numbers and names of two columns; None if there are not these."""
    for separator in ",\t;":
        rows = [split_cells(line, separator) for line in lines]
        width = len(rows[0])
        if width == 1 or any(len(cells) != width for cells in rows):
            continue
        for column in range(width):
            below = all(INTEGER.fullmatch(cells[column]) for cells in rows[1:])
            has_header = not INTEGER.fullmatch(rows[0][column])
            if not below or (has_header and len(rows) == 1):
                continue
            if width > 2:
                raise AnnotationError(
                    f"{file}:1: has {width} columns; expected names alone, or number and name"
                )
            numbers = [int(cells[column]) for cells in rows[has_header:]]
            return Numbered(numbers, [cells[1 - column] for cells in rows[has_header:]], 1 + has_header)
    return None


def _spaced(lines: Sequence[str]) -> Numbered | None:
    """Return numbers and names that a space parts, where the numbers count the classes."""
    first = int(len(lines) > 2 and HEADERS.issuperset(lines[0].lower().split()))
    for form in (NUMBER_FIRST, NUMBER_LAST):
        found = [match for line in lines[first:] if (match := form.fullmatch(line))]
        numbers, names = [int(match["number"]) for match in found], [match["name"] for match in found]
        count = len(lines) - first
        counts = sorted(numbers) in (list(range(count)), list(range(1, count + 1)))
        if counts and count > 1 and len(set(names)) == count:  # or else the numbers tell the classes apart
            return Numbered(numbers, names, first + 1)
    return None


def _in_order(file: Path, numbered: Numbered) -> list[str]:
    """Return the names in the order of their numbers, which must be 0..K-1."""
    numbers, names, first_line = numbered
    at = dict(zip(numbers, names, strict=True))
    if sorted(numbers) != list(range(len(numbers))):
        found = "has a number twice" if len(at) < len(numbers) else f"numbers {min(at)}..{max(at)}"
        raise AnnotationError(
            f"{file}:{first_line}: {found}; expected 0..{len(numbers) - 1}, as labels are counted: count "
            "from 0, in the lists too, or write the names alone"
        )
    _check_different(file, names, first_line=first_line)
    return [at[number] for number in range(len(at))]


def _check_different(file: Path, names: Sequence[str], *, first_line: int = 1) -> None:
    """Raise AnnotationError if a name stands there twice, or names are numbers of other lines."""
    line_of: dict[str, int] = {}
    for line, name in enumerate(names, start=first_line):
        if not name:
            raise AnnotationError(f"{file}:{line}: the name is empty; expected every class named")
        if name in line_of:
            raise AnnotationError(
                f"{file}:{line}: class {name!r} stands on line {line_of[name]} already; "
                "expected every name once"
            )
        line_of[name] = line
    if all(map(INTEGER.fullmatch, names)) and list(names) != [str(label) for label in range(len(names))]:
        raise AnnotationError(
            f"{file}:{first_line}: the names are numbers, but not those of the labels, 0..{len(names) - 1}; "
            "put a word before each"
        )


def _from_json(file: Path, text: str) -> list[str]:
    """Return the names of a JSON list, or of a mapping between names and 0..K-1 in either direction."""
    expected = "expected a list of names, or a mapping of names to 0..K-1"
    try:
        found = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{file}: is not JSON ({error}); {expected}") from error
    pairs = list(_numbered(found))
    if not pairs or not all(INTEGER.fullmatch(number) for number, _ in pairs):
        raise AnnotationError(f"{file}: holds other JSON than class names; {expected}")
    return _in_order(file, Numbered([int(number) for number, _ in pairs], [name for _, name in pairs], 1))


def _numbered(found: Any) -> Iterator[tuple[str, str]]:
    """Yield number and name of each entry, as they are written; nothing of what holds no names."""
    if not isinstance(found, list):
        return
    if all(isinstance(name, str) for name in found):
        yield from ((str(number), name.strip()) for number, name in enumerate(found))
    elif all(isinstance(entry, tuple) and isinstance(entry[1], str | int) for entry in found):
        numbers_first = all(INTEGER.fullmatch(key) for key, _ in found)
        for key, value in found:
            yield (key, str(value).strip()) if numbers_first else (str(value), key.strip())
