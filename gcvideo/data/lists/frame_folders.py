"""Lists of videos that lie as folders of pictures: `folder num_frames label`, or any list of paths."""

from collections.abc import Sequence

from gcvideo.data.lists.cells import INTEGER, SEPARATORS, Cells, RowError, split_cells
from gcvideo.data.lists.forms import Form, IsRow, labelled_form


def counted_by_space(lines: Sequence[str]) -> Cells:
    """Return paths, labels and numbers of frames of lines `folder num_frames label`."""
    rows = [line.rsplit(None, 2) for line in lines]
    for line, row in zip(lines, rows, strict=True):
        if len(row) < 3 or not INTEGER.fullmatch(row[1]):
            raise RowError(f"{line!r} is not a row `folder num_frames label`, as the first line is")
        if int(row[1]) < 1:
            raise RowError(f"{line!r} counts {row[1]} frames; expected 1 or more")
    paths, counts, labels = map(list, zip(*rows, strict=True))
    return Cells(paths, labels, [counts])


COUNTED = Form(counted_by_space, has_header=False, has_labels=True)
"""Lines `folder num_frames label`, of which the last two spaces part the cells."""


def counts_frames(first: str, *, is_row: IsRow) -> bool:
    """Return whether a list that begins with this line is of lines `folder num_frames label`."""
    words = first.rsplit(None, 2)
    in_cells = any(len(split_cells(first, separator)) > 1 for separator in SEPARATORS)
    return (
        not in_cells
        and len(words) == 3
        and INTEGER.fullmatch(words[1]) is not None
        and is_row(words[0], words[2])
    )


def frame_folder_form(first: str, *, is_row: IsRow) -> Form:
    """Return the form of a list of folders that begins with this line.

    Those that count frames are the rawframes lists of TSN, TSM and MMAction2; all other lists are read as
    lists of files are.

    Raises:
        RowError: The line is no line of a list.
    """
    return COUNTED if counts_frames(first, is_row=is_row) else labelled_form(first, is_row=is_row)
