"""Lists read as training reads them."""

from functools import partial
from itertools import repeat
from pathlib import Path

from data_prep.lists.video_lists import CLASSES, IN_FRAMES, IN_SECONDS, ListedVideo, VideoList
from gcvideo.cells import unquoted
from gcvideo.data.lists.cells import INTEGER, Cells, RowError, no_row
from gcvideo.data.lists.class_files import read_class_names
from gcvideo.data.lists.forms import Form
from gcvideo.data.lists.headers import VERIFIED_COLUMNS
from gcvideo.data.lists.label_sets import frame_folder_label_set_form, label_set_form
from gcvideo.data.lists.labels import LabelSets
from gcvideo.data.lists.rows import AnnotationError, numbered_lines, read_rows
from gcvideo.data.lists.segments import segment_columns
from gcvideo.video_files import is_video_name

CHECKSUM = len(VERIFIED_COLUMNS)
"""Where it stands behind the others of a list that verify.py wrote."""


def read_list(file: Path) -> VideoList:
    """Return a list of videos, segments or folders of frames; it may have no row below its header.

    Raises:
        AnnotationError: It is none of paths and labels, or a segment is empty.
    """
    if next(numbered_lines(file), None) is None:
        raise AnnotationError(f"{file}: is empty; expected a header with the columns path and label")
    whole = VideoList(file.name, [], file=file)
    for part in read_rows(file, _rows, partial(_form, known=_known_labels(file))):
        whole.videos.extend(part.videos)
        whole = whole._replace(bounds=part.bounds)
    return whole


def _known_labels(file: Path) -> LabelSets:
    """Return the labels that the class names beside a list, if there are any, permit."""
    classes = file.parent / CLASSES
    names = read_class_names(classes) if classes.is_file() else []
    return LabelSets(len(names), {name: label for label, name in enumerate(names)})


def _form(first: str, *, known: LabelSets) -> Form:
    def is_row(path: str, label: str) -> bool:
        return known.is_row(path, label) or (is_video_name(path) and not is_video_name(label))

    words = first.rsplit(None, 2)
    if len(words) == 3 and INTEGER.fullmatch(words[1]) and not is_video_name(words[0]):
        form = frame_folder_label_set_form(first, is_row=is_row)
    else:
        form = label_set_form(first, is_row=is_row)
    if not form.has_header:
        cells = form.split([first])
        if not is_row(cells.path[0].strip(), cells.label[0].strip()):
            raise RowError(no_row(first))
    return form


def _rows(cells: Cells) -> VideoList:
    """Return some rows as a list of their own."""
    segment_columns(cells.bounds, num_frames=(), fps=())  # refuses those that are empty
    bounds = () if cells.bounds is None else IN_FRAMES if cells.bounds.in_frames else IN_SECONDS
    segments = zip(*cells.bounds[:2], strict=True) if cells.bounds is not None else repeat(())
    counts = map(_count, cells.verified[0]) if cells.verified else repeat(None)
    has_checksum = len(cells.verified) > CHECKSUM
    checksums = map(_checksum, cells.verified[CHECKSUM]) if has_checksum else repeat(None)
    rows = zip(cells.path, cells.label, segments, counts, checksums)  # noqa: B905 (what repeats has no end)
    return VideoList(
        "",
        [
            ListedVideo(
                unquoted(path.strip()), unquoted(label.strip()), tuple(map(str.strip, segment)), count, crc32
            )
            for path, label, segment, count, crc32 in rows
        ],
        bounds,
    )


def _count(cell: str) -> int:
    """Return a number of frames; RowError if it is none."""
    if not cell.strip().isdecimal() or int(cell) < 1:
        raise RowError(f"num_frames is {cell!r}; expected 1 or more")
    return int(cell)


def _checksum(cell: str) -> int:
    """Return a checksum; RowError if it is no number."""
    if not cell.strip().isdecimal():
        raise RowError(f"crc32 is {cell!r}; expected a number, as verify.py writes it")
    return int(cell)
