"""Annotation rows: which videos there are and what each of them shows."""

import os
import re
from array import array
from functools import partial
from pathlib import Path

from gcvideo.data.records import RecordColumns, VideoRecords
from gcvideo.data.rows import (
    INTEGER,
    VERIFIED_COLUMNS,
    AnnotationError,
    Cells,
    RowError,
    by_commas,
    named,
    read_lines,
    read_rows,
    split_cells,
)

LABEL_AT_END = re.compile(r"[ ,]-?[0-9]+$")


def read_annotations(file: Path, *, root: Path, num_classes: int) -> VideoRecords:
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
    columns = RecordColumns.empty()
    for rows in read_rows(file, partial(_columns, root=root, base=base, num_classes=num_classes)):
        columns.extend(rows)
    if not columns.label:
        raise AnnotationError(f"{file}: lists no video; expected rows `path,label`")
    return VideoRecords(base, columns)


def read_paths(file: Path, *, root: Path) -> list[Path]:
    """The videos of a list that may do without labels: one path a line, or any form of annotation file.

    Raises:
        AnnotationError: The file is missing or lists nothing.
    """
    lines = [(number, line.strip()) for number, line in enumerate(read_lines(file), start=1) if line.strip()]
    if not lines:
        raise AnnotationError(f"{file}: lists no video; expected one path a line")
    number, first = lines[0]
    with named(file, number):
        header = split_cells(first)
    if "path" not in header:
        return [root / LABEL_AT_END.sub("", line) for _, line in lines]
    paths = []
    for number, line in lines[1:]:
        with named(file, number):
            ((path,),) = by_commas([line], columns=(header.index("path"),))
        paths.append(root / path)
    return paths


def read_class_names(file: Path) -> list[str]:
    """One class name a line; the line's number, from 0, is the label.

    Raises:
        AnnotationError: The file is missing or empty, or a name stands in it twice.
    """
    names = [name.strip() for name in read_lines(file)]
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
    labels = set[int]().union(*read_rows(file, _labels))
    if not labels:
        raise AnnotationError(f"{file}: lists no video with an integer label; expected rows `path,label`")
    return max(labels)


def _labels(cells: Cells) -> set[int]:
    return {int(label) for label in set(cells[1]) if INTEGER.fullmatch(label)}


def _columns(cells: Cells, *, root: Path, base: str, num_classes: int) -> RecordColumns:
    """The rows as records below `base`, which is the absolute form of `root`; RowError if one cannot be."""
    paths, labels, *verified = cells
    class_index = {label: _class_index(label, num_classes) for label in set(labels)}
    below = base.rstrip("/") + "/"
    for path in paths:
        if not path or ".." in path or (path[0] == "/" and not path.startswith(below)):
            _check_inside(path, root=root, base=base)
    text = "".join(paths)
    encoded = paths if text.isascii() else [path.encode() for path in paths]
    return RecordColumns(
        bytearray(text.encode()),
        array("q", map(len, encoded)),
        array("q", map(class_index.__getitem__, labels)),
        *_verified(verified),
    )


def _class_index(label: str, num_classes: int) -> int:
    if not INTEGER.fullmatch(label):
        raise RowError(f"label {label!r} is not an integer; expected 0..{num_classes - 1}")
    if int(label) not in range(num_classes):
        raise RowError(f"label {int(label)} is out of range; expected 0..{num_classes - 1}")
    return int(label)


def _check_inside(path: str, *, root: Path, base: str) -> None:
    if not path:
        raise RowError(f"the path is empty; expected a video file below {root}")
    full = os.path.normpath(os.path.join(base, path))  # noqa: PTH118
    if os.path.commonpath([base, full]) != base:
        raise RowError(
            f"path {path!r} leads out of {root}; make it relative to the root, "
            "or set data.root to a folder that holds it"
        )


def _verified(cells: Cells) -> "tuple[array[int], array[float], array[int], array[int], array[int]]":
    num_frames, fps, width, height, plain = cells or [()] * len(VERIFIED_COLUMNS)
    try:
        return (
            array("q", map(int, num_frames)),
            array("d", map(float, fps)),
            array("q", map(int, width)),
            array("q", map(int, height)),
            array("b", [int(cell) != 0 for cell in plain]),
        )
    except (ValueError, OverflowError) as error:
        found = ", ".join(column[0] for column in cells)
        raise RowError(
            f"{', '.join(VERIFIED_COLUMNS)} are {found}; expected numbers as data_prep/verify.py writes them"
        ) from error
