"""Annotation rows: which videos there are and what each of them shows."""

import csv
import os
import re
from pathlib import Path
from typing import NamedTuple

from gcvideo.clip import Verified, VideoRecord

INTEGER = re.compile(r"\s*-?[0-9]+\s*")
LABEL_AT_END = re.compile(r"[ ,]-?[0-9]+$")
VERIFIED_COLUMNS = ("num_frames", "fps", "width", "height", "plain")


class Row(NamedTuple):
    """One video of an annotation file, as written."""

    line: int
    path: str
    label: str
    verified: tuple[str, ...] = ()
    """The cells under VERIFIED_COLUMNS, where there are all of these."""


class AnnotationError(ValueError):
    """An annotation or class-name file says something that cannot be trained on."""


def read_annotations(file: Path, *, root: Path, num_classes: int) -> list[VideoRecord]:
    """The videos that an annotation file lists, in its order.

    Three forms are read, told apart by the file's first line: CSV with a header that has the columns `path`
    and `label` among any others, CSV `path,label[,...]` without a header, and `path label` separated by one
    space (the lists of PySlowFast and MMAction2; the path may contain spaces and commas). In CSV, a path with
    a comma in it stands in double quotes. A list that data_prep/verify.py wrote says of each video how many
    frames it has and whether decord reads it exactly.

    Args:
        file: The annotation file.
        root: Folder that the paths are relative to. No path may lead out of it; for lists of absolute paths
            the root is `/`.
        num_classes: K; labels are 0..K-1.

    Raises:
        AnnotationError: The file is missing or empty, or a row is not as described. The message names the
            file and the line.
    """
    # Lexical, not Path.resolve(): a data set made of symbolic links stays inside its root.
    base = os.path.abspath(root)  # noqa: PTH100
    records = []
    for line, path, label, cells in _rows(file):
        place = f"{file}:{line}"
        if not INTEGER.fullmatch(label):
            raise AnnotationError(
                f"{place}: label {label!r} is not an integer; expected 0..{num_classes - 1}"
            )
        if int(label) not in range(num_classes):
            raise AnnotationError(
                f"{place}: label {int(label)} is out of range; expected 0..{num_classes - 1}"
            )
        if not path:
            raise AnnotationError(f"{place}: the path is empty; expected a video file below {root}")
        full = os.path.normpath(os.path.join(base, path))  # noqa: PTH118
        if os.path.commonpath([base, full]) != base:
            raise AnnotationError(
                f"{place}: path {path!r} leads out of {root}; make it relative to the root, "
                "or set data.root to a folder that holds it"
            )
        records.append(VideoRecord(Path(full), int(label), path, _verified(cells, place)))
    if not records:
        raise AnnotationError(f"{file}: lists no video; expected rows `path,label`")
    return records


def read_paths(file: Path, *, root: Path) -> list[Path]:
    """The videos of a list that may do without labels: one path a line, or any form of annotation file.

    Raises:
        AnnotationError: The file is missing or lists nothing.
    """
    lines = [(number, line.strip()) for number, line in enumerate(_lines(file), start=1) if line.strip()]
    if not lines:
        raise AnnotationError(f"{file}: lists no video; expected one path a line")
    header = [cell.strip() for cell in _cells(file, *lines[0])]
    if "path" in header:
        column = header.index("path")
        rows = _comma_rows(file, lines[1:], columns=(column, column))
        return [root / row.path for row in rows]
    return [root / LABEL_AT_END.sub("", line) for _, line in lines]


def read_class_names(file: Path) -> list[str]:
    """One class name a line; the line's number, from 0, is the label.

    Raises:
        AnnotationError: The file is missing or empty, or a name stands in it twice.
    """
    names = [name.strip() for name in _lines(file)]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise AnnotationError(f"{file}: names no class; expected one name a line")
    first_line: dict[str, int] = {}
    for line, name in enumerate(names, start=1):
        if not name:
            raise AnnotationError(f"{file}:{line}: is blank, which would shift the labels below; remove it")
        if name in first_line:
            raise AnnotationError(
                f"{file}:{line}: class {name!r} stands on line {first_line[name]} already; "
                "expected every name once"
            )
        first_line[name] = line
    return names


def largest_label(file: Path) -> int:
    """The largest label of an annotation file, to count classes where no class-name file is given."""
    labels = [int(row.label) for row in _rows(file) if INTEGER.fullmatch(row.label)]
    if not labels:
        raise AnnotationError(f"{file}: lists no video with an integer label; expected rows `path,label`")
    return max(labels)


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        raise AnnotationError(f"{file}: no such file; pass its path, or make it with data_prep")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{file}: is not UTF-8 text ({error}); write it again as UTF-8") from error
    # Not splitlines(), which also splits at signs that a file name may hold, such as U+2028.
    return text.split("\n")


def _verified(cells: tuple[str, ...], place: str) -> Verified | None:
    if not cells:
        return None
    num_frames, fps, width, height, plain = cells
    try:
        verified = Verified(int(num_frames), float(fps), int(width), int(height), bool(int(plain)))
    except ValueError as error:
        raise AnnotationError(
            f"{place}: {', '.join(VERIFIED_COLUMNS)} are {', '.join(cells)}; expected numbers as "
            "data_prep/verify.py writes them"
        ) from error
    return verified


def _rows(file: Path) -> list[Row]:
    """Every row that is not blank."""
    lines = [(number, line) for number, line in enumerate(_lines(file), start=1) if line.strip()]
    if not lines:
        return []
    number, first = lines[0]
    cells = [cell.strip() for cell in _cells(file, number, first)]
    if "path" in cells and "label" in cells:
        verified = [cells.index(name) for name in VERIFIED_COLUMNS if name in cells]
        if len(verified) < len(VERIFIED_COLUMNS):
            verified = []
        columns = (cells.index("path"), cells.index("label"), *verified)
        return _comma_rows(file, lines[1:], columns=columns)
    if "path" in cells or "label" in cells:
        raise AnnotationError(
            f"{file}:{number}: the header has columns {', '.join(cells)}; expected path and label among them"
        )
    if len(cells) > 1 and (INTEGER.fullmatch(cells[1]) or " " not in first.strip()):
        return _comma_rows(file, lines, columns=(0, 1))
    return _space_rows(file, lines)


def _cells(file: Path, number: int, line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise AnnotationError(f"{file}:{number}: {line!r} is not CSV ({error}); check its quotes") from error


def _comma_rows(file: Path, lines: list[tuple[int, str]], *, columns: tuple[int, ...]) -> list[Row]:
    path, label, *verified = columns
    rows = []
    for number, line in lines:
        cells = _cells(file, number, line)
        if len(cells) <= max(columns):
            raise AnnotationError(f"{file}:{number}: {line!r} is not a row `path,label`")
        rows.append(Row(number, cells[path], cells[label], tuple(cells[column] for column in verified)))
    return rows


def _space_rows(file: Path, lines: list[tuple[int, str]]) -> list[Row]:
    rows = []
    for number, line in lines:
        path, _, label = line.strip().rpartition(" ")
        if not path:
            raise AnnotationError(f"{file}:{number}: {line!r} is not a row `path,label` or `path label`")
        rows.append(Row(number, path, label))
    return rows
