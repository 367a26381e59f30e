"""Annotation rows: which videos there are and what each of them shows."""

import csv
import os
from pathlib import Path

from gcvideo.clip import VideoRecord


class AnnotationError(ValueError):
    """An annotation or class-name file says something that cannot be trained on."""


def read_annotations(file: Path, *, root: Path, num_classes: int) -> list[VideoRecord]:
    """The videos that an annotation file lists, in its order.

    Three forms are read, told apart by the file's first line: CSV with a header that has the columns `path`
    and `label` among any others, CSV `path,label` without a header, and `path label` separated by one space
    (the lists of PySlowFast and MMAction2; the path may contain spaces).

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
    for line, path, label in _rows(file):
        place = f"{file}:{line}"
        if not label.strip().isdecimal():
            raise AnnotationError(
                f"{place}: label {label!r} is not an integer; expected 0..{num_classes - 1}"
            )
        if int(label) >= num_classes:
            raise AnnotationError(
                f"{place}: label {int(label)} is out of range; expected 0..{num_classes - 1}"
            )
        full = os.path.normpath(os.path.join(base, path))  # noqa: PTH118
        if os.path.commonpath([base, full]) != base:
            raise AnnotationError(
                f"{place}: path {path!r} leads out of {root}; make it relative to the root, "
                "or set data.root to a folder that holds it"
            )
        records.append(VideoRecord(Path(full), int(label), path))
    if not records:
        raise AnnotationError(f"{file}: lists no video; expected rows `path,label`")
    return records


def read_class_names(file: Path) -> list[str]:
    """One class name a line; the line's number, from 0, is the label.

    Raises:
        AnnotationError: The file is missing or empty, or a name stands in it twice.
    """
    names = [name.strip() for name in _text(file).splitlines() if name.strip()]
    if not names:
        raise AnnotationError(f"{file}: names no class; expected one name a line")
    for line, name in enumerate(names, start=1):
        if names.index(name) != line - 1:
            raise AnnotationError(
                f"{file}:{line}: class {name!r} stands on line {names.index(name) + 1} already"
            )
    return names


def largest_label(file: Path) -> int:
    """The largest label of an annotation file, to count classes where no class-name file is given."""
    labels = [label for _, _, label in _rows(file) if label.strip().isdecimal()]
    if not labels:
        raise AnnotationError(f"{file}: lists no video with an integer label")
    return max(map(int, labels))


def _text(file: Path) -> str:
    if not file.is_file():
        raise AnnotationError(f"{file}: no such file; pass its path, or make it with data_prep")
    return file.read_text(encoding="utf-8-sig")


def _rows(file: Path) -> list[tuple[int, str, str]]:
    """(line number, path, label) of every row that is not blank."""
    lines = _text(file).splitlines()
    first = next((line for line in lines if line.strip()), "")
    header = [name.strip() for name in first.split(",")]
    if "path" in header and "label" in header:
        columns = header.index("path"), header.index("label")
        return _comma_rows(file, lines, columns=columns, skip=lines.index(first) + 1)
    if "," in first and (first.rpartition(",")[2].strip().isdecimal() or " " not in first.strip()):
        return _comma_rows(file, lines, columns=(0, 1), skip=0)
    return _space_rows(file, lines)


def _comma_rows(
    file: Path, lines: list[str], *, columns: tuple[int, int], skip: int
) -> list[tuple[int, str, str]]:
    rows = []
    for line, cells in enumerate(csv.reader(lines[skip:]), start=skip + 1):
        if not cells:
            continue
        if len(cells) <= max(columns):
            raise AnnotationError(f"{file}:{line}: {','.join(cells)!r} is not a row `path,label`")
        rows.append((line, cells[columns[0]], cells[columns[1]]))
    return rows


def _space_rows(file: Path, lines: list[str]) -> list[tuple[int, str, str]]:
    rows = []
    for line, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        path, _, label = text.strip().rpartition(" ")
        if not path:
            raise AnnotationError(f"{file}:{line}: {text!r} is not a row `path,label` or `path label`")
        rows.append((line, path, label))
    return rows
