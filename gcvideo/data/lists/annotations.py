"""Annotation rows: which videos there are and what each of them shows."""

import logging
import math
import os
from array import array
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gcvideo.clip import Segment, Verified, VideoRecord
from gcvideo.data.lists.cells import INTEGER, Cells, RowError, by_line, by_space, label_parts
from gcvideo.data.lists.forms import Form, FormOfList, form_of, labelled_form
from gcvideo.data.lists.frame_folders import COUNTED, counts_frames
from gcvideo.data.lists.headers import VERIFIED_COLUMNS
from gcvideo.data.lists.label_sets import by_space_sets
from gcvideo.data.lists.labels import Labels, LabelSets
from gcvideo.data.lists.paths import are_usual, local_path, path_below
from gcvideo.data.lists.records import NO_CHECKSUM, RecordColumns, VideoRecords
from gcvideo.data.lists.rows import AnnotationError, lines_of_rows, read_rows
from gcvideo.data.lists.segments import segment_columns
from gcvideo.video_files import is_video_name

log = logging.getLogger(__name__)


def read_annotations(
    file: Path,
    *,
    root: Path,
    num_classes: int,
    class_names: Sequence[str] = (),
    form_of_list: FormOfList = labelled_form,
    multi_label: bool = False,
) -> VideoRecords:
    """Return the videos that an annotation file lists, in its order.

    Three forms are read, told apart by the file's first line: CSV with a header that has the columns `path`
    and `label` among any others, CSV `path,label` without a header, and `path label` separated by space (the
    lists of PySlowFast and MMAction2; the path may contain spaces and commas). In CSV, which may have tabs or
    semicolons in place of commas, a path with a comma in it stands in double quotes. A list that
    data_prep/verify.py wrote says of each video how many frames it has, whether decord reads it exactly, and
    its checksum. A video that is listed several times with one label counts as often; the log says so.

    The header may call the two by other usual words (PATH_COLUMNS, LABEL_COLUMNS). What could be meant in
    more ways than one is refused: more cells than the header or `path,label` has.

    A header with the columns start and end, in seconds by the file's time stamps, or start_frame and
    end_frame (or other usual words, SEGMENT_COLUMN) makes of each row a segment of its video; what begins at
    the end is no part of it.

    Args:
        file: The annotation file.
        root: Folder that the paths are relative to. No path may lead out of it; for lists of absolute paths
            the root is `/`.
        num_classes: K; labels are 0..K-1.
        class_names: Names that may stand in place of labels, in the order of the labels.
        form_of_list: The forms that are read; folders of frames, and several labels, have more.
        multi_label: Whether a video may have several labels, or none.

    Raises:
        AnnotationError: The file is missing or empty, a row is not as described, or two rows give a video
            different labels. The message names the file and the line.
    """
    # Lexical, not Path.resolve(): a data set made of symbolic links stays inside its root.
    base = os.path.abspath(root)  # noqa: PTH100
    by_name = {name: label for label, name in enumerate(class_names)}
    labels = (LabelSets if multi_label else Labels)(num_classes, by_name)
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


def read_videos(file: Path, *, root: Path) -> list[VideoRecord]:
    """Return the videos, or segments, of a list that may lack labels, which are of no account.

    The list has one path a line, or any form of annotation file.

    Raises:
        AnnotationError: The file is missing or lists nothing, or a row is no path of a file here.
    """
    base = os.path.abspath(root)  # noqa: PTH100
    videos: list[VideoRecord] = []
    for some in read_rows(file, partial(_videos, root=root, base=base), _any_form):
        videos += some
    if not videos:
        raise AnnotationError(f"{file}: lists no video; expected one path a line")
    return videos


def largest_label(file: Path, *, form_of_list: FormOfList = labelled_form, multi_label: bool = False) -> int:
    """Return the largest label of an annotation file, to count classes where no class-name file is given."""
    known = LabelSets(0, {}) if multi_label else Labels(0, {})
    cells = set[str]().union(
        *read_rows(file, lambda rows: set(rows.label), partial(form_of_list, is_row=known.is_row))
    )
    found = {part for cell in cells for part in label_parts(cell)} if multi_label else cells
    labels = [int(label) for label in found if INTEGER.fullmatch(label)]
    if not labels:
        names = f", only names as {min(found)!r}; write them to classes.txt, one a line" if found else ""
        raise AnnotationError(
            f"{file}: lists no video with an integer label{names or '; expected `path,label`'}"
        )
    if min(labels) > 0:
        log.info("%s: the smallest label is %d, but labels are counted from 0", file, min(labels))
    return max(labels)


class Rows(NamedTuple):
    """Some rows of a list."""

    columns: RecordColumns
    keys: "array[int]"
    """A hash of each path below the root: the same for two ways to write one path."""


def _rows(cells: Cells, *, root: Path, base: str, labels: Labels) -> Rows:
    """Return the rows as records below `base`, the absolute form of `root`; RowError if one cannot be."""
    label, num_labels = labels.indices(cells.label, cells.path)
    paths = below = [path.strip() for path in cells.path]
    text = "".join(paths)
    if not are_usual(paths, text):
        paths = [local_path(path, base=base) for path in paths]
        below = [path_below(path, root=root, base=base) for path in paths]
        text = "".join(paths)
    encoded = paths if text.isascii() else [path.encode() for path in paths]
    verified = _verified(cells.verified)
    columns = RecordColumns(
        bytearray(text.encode()),
        array("q", map(len, encoded)),
        label,
        num_labels,
        *segment_columns(cells.bounds, num_frames=verified[0], fps=verified[1]),
        *verified,
    )
    return Rows(columns, array("q", map(hash, below)))


def _videos(cells: Cells, *, root: Path, base: str) -> list[VideoRecord]:
    paths = [root / local_path(path.strip(), base=base) for path in cells.path]
    if cells.bounds is None:
        return list(map(VideoRecord.unlabelled, paths))
    bounds = zip(*segment_columns(cells.bounds), strict=True)
    segments = [Segment(start, end, bool(in_frames)) for start, end, in_frames in bounds]
    return list(map(VideoRecord.unlabelled, paths, segments))


def _any_form(first: str) -> Form:
    if counts_frames(first, is_row=_may_be_row) and not is_video_name(first.rsplit(None, 2)[0]):
        return COUNTED
    form = form_of(first, is_row=_may_be_row) or Form(by_line, has_header=False, has_labels=False)
    return form._replace(split=by_space_sets) if form.split is by_space else form


def _may_be_row(path: str, label: str) -> bool:
    """Return whether this may be a path and its labels, where no classes are known."""
    labels = label_parts(label)
    return all(map(INTEGER.fullmatch, labels)) or (is_video_name(path) and not is_video_name(label))


def _check_repeated(file: Path, records: VideoRecords) -> None:
    """Log how many rows list a video, or one segment of it, again.

    Raises:
        AnnotationError: One of them has other labels than before.
    """
    repeated = records.repeated()
    if not len(repeated):
        return
    first: dict[tuple[Path, Segment | None], int] = {}
    again: list[tuple[int, int]] = []
    for row in repeated.tolist():
        record = records[row]
        earlier = first.setdefault((record.path, record.segment), row)
        if record.label != records[earlier].label:
            line, other = lines_of_rows(file, (row, earlier), num_rows=len(records))
            is_set = isinstance(record.label, tuple)
            said, remedy = (
                ("has labels", "write all of them in one row")
                if is_set
                else ("has label", "a video has one label, remove one of the rows")
            )
            raise AnnotationError(
                f"{file}:{line}: {record.video_id!r} {said} {_said(record.label)}, but "
                f"{said.removeprefix('has ')} {_said(records[earlier].label)} on line {other}; {remedy}"
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


def _said(label: int | tuple[int, ...]) -> str:
    return ";".join(map(str, label)) or "none" if isinstance(label, tuple) else str(label)


def _verified(cells: Sequence[Sequence[str]]) -> "tuple[array[Any], ...]":
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
