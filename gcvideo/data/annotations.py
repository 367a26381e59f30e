"""Annotation rows: which videos there are and what each of them shows."""

import difflib
import logging
import math
import os
import re
import sys
from array import array
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gcvideo.cells import unquoted
from gcvideo.clip import Verified
from gcvideo.data.forms import (
    INTEGER,
    VERIFIED_COLUMNS,
    Cells,
    Form,
    FormOfList,
    RowError,
    by_line,
    form_of,
    labelled_form,
)
from gcvideo.data.frame_lists import COUNTED, counts_frames
from gcvideo.data.listed_paths import are_usual, local_path, path_below
from gcvideo.data.records import NO_CHECKSUM, RecordColumns, VideoRecords
from gcvideo.data.rows import AnnotationError, lines_of_rows, read_rows
from gcvideo.video_files import is_video_name

log = logging.getLogger(__name__)


def read_annotations(
    file: Path,
    *,
    root: Path,
    num_classes: int,
    class_names: Sequence[str] = (),
    form_of_list: FormOfList = labelled_form,
) -> VideoRecords:
    """Return the videos that an annotation file lists, in its order.

    Three forms are read, told apart by the file's first line: CSV with a header that has the columns `path`
    and `label` among any others, CSV `path,label` without a header, and `path label` separated by space (the
    lists of PySlowFast and MMAction2; the path may contain spaces and commas). In CSV, which may have tabs or
    semicolons in place of commas, a path with a comma in it stands in double quotes. A list that
    data_prep/verify.py wrote says of each video how many frames it has, whether decord reads it exactly, and
    its checksum. A video that is listed several times with one label counts as often; the log says so.

    The header may call the two by other usual words (PATH_COLUMNS, LABEL_COLUMNS). What could be meant in
    more ways than one is refused: more cells than the header or `path,label` has, several labels, start and
    end.

    Args:
        file: The annotation file.
        root: Folder that the paths are relative to. No path may lead out of it; for lists of absolute paths
            the root is `/`.
        num_classes: K; labels are 0..K-1.
        class_names: Names that may stand in place of labels, in the order of the labels.
        form_of_list: The forms that are read; folders of frames have one more.

    Raises:
        AnnotationError: The file is missing or empty, a row is not as described, or two rows give a video
            different labels. The message names the file and the line.
    """
    # Lexical, not Path.resolve(): a data set made of symbolic links stays inside its root.
    base = os.path.abspath(root)  # noqa: PTH100
    labels = Labels(num_classes, {name: label for label, name in enumerate(class_names)}, {})
    columns, keys = RecordColumns.empty(), array("q")
    form = partial(form_of_list, is_row=labels.is_row)
    for rows in read_rows(file, partial(_rows, root=root, base=base, labels=labels), form):
        columns.extend(rows.columns)
        keys.extend(rows.keys)
    if not keys:
        raise AnnotationError(f"{file}: lists no video; expected rows `path,label`")
    records = VideoRecords(base, columns, keys=np.frombuffer(keys, dtype=np.int64))
    _check_repeated(file, records)
    return records


def read_paths(file: Path, *, root: Path) -> list[Path]:
    """Return the videos of a list that may lack labels: one path a line, or any form of annotation file.

    Raises:
        AnnotationError: The file is missing or lists nothing, or a row is no path of a file here.
    """
    base = os.path.abspath(root)  # noqa: PTH100
    paths: list[Path] = []
    for some in read_rows(file, partial(_paths, base=base), _any_form):
        paths += [root / path for path in some]
    if not paths:
        raise AnnotationError(f"{file}: lists no video; expected one path a line")
    return paths


def largest_label(file: Path, *, form_of_list: FormOfList = labelled_form) -> int:
    """Return the largest label of an annotation file, to count classes where no class-name file is given."""
    form = partial(form_of_list, is_row=lambda path, label: INTEGER.fullmatch(label) is not None)
    found = set[str]().union(*read_rows(file, lambda cells: set(cells[1]), form))
    labels = [int(label) for label in found if INTEGER.fullmatch(label)]
    if not labels:
        names = f", only names as {min(found)!r}; write them to classes.txt, one a line" if found else ""
        raise AnnotationError(
            f"{file}: lists no video with an integer label{names or '; expected `path,label`'}"
        )
    if min(labels) > 0:
        log.info("%s: the smallest label is %d, but labels are counted from 0", file, min(labels))
    return max(labels)


class Labels(NamedTuple):
    """What labels may be."""

    num_classes: int
    by_name: Mapping[str, int]
    known: dict[str, int]
    """Those that were met, as written."""

    def is_row(self, path: str, label: str) -> bool:
        """Return whether the second is a label, in or out of range."""
        names = self.by_name
        return INTEGER.fullmatch(label) is not None or label in names or unquoted(label) in names

    def index_of(self, label: str, path: str) -> int:
        """Return the class index that a label, as written for a path, stands for."""
        label = label.strip()
        label = label if label in self.by_name else unquoted(label)
        if label in self.by_name and not INTEGER.fullmatch(label):
            return self.by_name[label]
        if not INTEGER.fullmatch(label):
            raise RowError(self._unknown(label, path))
        if int(label) in range(self.num_classes):
            return int(label)
        raise RowError(
            f"label {int(label)} is out of range; expected 0..{self.num_classes - 1}, counted from 0"
            + "; videos of unknown class are for `gcvideo predict`" * (int(label) < 0)
        )

    def _unknown(self, label: str, path: str) -> str:
        """Say what is wrong with a label that is no number."""
        if not label:
            return "the label is empty; videos of unknown class are for `gcvideo predict`"
        expected = f"expected 0..{self.num_classes - 1}"
        if self.by_name:
            expected += " or a class name"
        said = f"label {label!r} is not an integer; {expected}"
        if INTEGER.fullmatch(path) and not INTEGER.fullmatch(label):
            return f"{said}; if it is the path, write `path,label`, or a header label,path"
        if "#" in label or path.startswith("#"):
            return f"{said}; comments are not read, remove it"
        if all(map(INTEGER.fullmatch, label.replace(";", ",").split(","))):
            return f"{said}; several labels of a video are not read"
        is_number = re.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?", label, re.IGNORECASE)
        if is_number and float(label).is_integer() and abs(float(label)) < sys.maxsize:
            return f"{said}; write {float(label):.0f}"
        similar = difflib.get_close_matches(label, self.by_name, 1)
        if similar:
            return f"{said}; did you mean {similar[0]!r}?"
        return said + "; names need a class list (data.classes)" * (label.isidentifier() and not self.by_name)


class Rows(NamedTuple):
    """Some rows of a list."""

    columns: RecordColumns
    keys: "array[int]"
    """A hash of each path below the root: the same for two ways to write one path."""


def _rows(cells: Cells, *, root: Path, base: str, labels: Labels) -> Rows:
    """Return the rows as records below `base`, the absolute form of `root`; RowError if one cannot be."""
    written, label, *verified = cells
    for new in set(label).difference(labels.known):
        labels.known[new] = labels.index_of(new, written[label.index(new)])
    paths = below = [path.strip() for path in written]
    text = "".join(paths)
    if not are_usual(paths, text):
        paths = [local_path(path, base=base) for path in paths]
        below = [path_below(path, root=root, base=base) for path in paths]
        text = "".join(paths)
    encoded = paths if text.isascii() else [path.encode() for path in paths]
    columns = RecordColumns(
        bytearray(text.encode()),
        array("q", map(len, encoded)),
        array("q", map(labels.known.__getitem__, label)),
        *_verified(verified),
    )
    return Rows(columns, array("q", map(hash, below)))


def _paths(cells: Cells, *, base: str) -> list[str]:
    return [local_path(path.strip(), base=base) for path in cells[0]]


def _any_form(first: str) -> Form:
    if counts_frames(first, is_row=_may_be_row):
        return COUNTED
    return form_of(first, is_row=_may_be_row) or Form(by_line, has_header=False, has_labels=False)


def _may_be_row(path: str, label: str) -> bool:
    """Return whether this may be a path and a label, where no classes are known."""
    return INTEGER.fullmatch(label) is not None or (is_video_name(path) and not is_video_name(label))


def _check_repeated(file: Path, records: VideoRecords) -> None:
    """Log how many rows list a video again.

    Raises:
        AnnotationError: One video has two labels.
    """
    ordered = np.sort(records.keys)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return
    first: dict[Path, int] = {}
    again: list[tuple[int, int]] = []
    for row in np.flatnonzero(np.isin(records.keys, repeated)).tolist():
        record, earlier = records[row], first.setdefault(records[row].path, row)
        if record.label != records[earlier].label:
            line, other = lines_of_rows(file, (row, earlier), num_rows=len(records))
            raise AnnotationError(
                f"{file}:{line}: {record.video_id!r} has label {record.label}, but label "
                f"{records[earlier].label} on line {other}; a video has one label, remove one of the rows"
            )
        if earlier != row:
            again.append((earlier, row))
    if again:
        line, other = lines_of_rows(file, again[0], num_rows=len(records))
        log.info(
            "%s: %d of %d rows list a video again, which counts as often: %r stands on lines %d and %d",
            file,
            len(again),
            len(records),
            records[again[0][0]].video_id,
            line,
            other,
        )


def _verified(cells: Cells) -> "tuple[array[Any], ...]":
    counted = [cells[0], *[()] * (len(VERIFIED_COLUMNS) - 1)] if len(cells) == 1 else cells
    num_frames, fps, width, height, plain, *checksum = counted or [()] * len(VERIFIED_COLUMNS)
    try:
        columns = (
            array("q", map(int, num_frames)),
            array("d", map(float, fps)),
            array("q", map(int, width)),
            array("q", map(int, height)),
            array("b", [int(cell) != 0 for cell in plain]),
            array("q", map(int, checksum[0]) if checksum else [NO_CHECKSUM] * len(plain)),
        )
        if any(column and min(column) <= 0 for column in columns[:4]) or not all(
            map(math.isfinite, columns[1])
        ):
            raise ValueError("out of range")
        return columns
    except (ValueError, OverflowError) as error:
        found = ", ".join(column[0] for column in cells)
        raise RowError(
            f"{', '.join(Verified._fields[: len(cells)])} are {found}; expected numbers above 0, and plain "
            "0 or 1, as data_prep/verify.py writes them"
        ) from error
