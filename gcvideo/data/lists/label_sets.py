"""Lists of videos that may have several labels: `a.mp4,0;3`, `a.mp4 0 3`, or a column for every class."""

from collections.abc import Sequence
from functools import partial

from gcvideo.data.lists.cells import (
    INTEGER,
    SEPARATORS,
    Cells,
    Columns,
    RowError,
    by_separator,
    by_space,
    csv_rows,
    no_row,
    split_cells,
    unquoted_path,
)
from gcvideo.data.lists.forms import Form, IsRow, labelled_form
from gcvideo.data.lists.frame_folders import counts_frames
from gcvideo.data.lists.headers import VERIFIED_COLUMNS, header


def label_set_form(first: str, *, is_row: IsRow) -> Form:
    """Return the form of a list of paths and their labels that begins with this line.

    Raises:
        RowError: The line is no line of a list.
    """
    for separator in SEPARATORS:
        cells = split_cells(first, separator)
        columns = header(cells)
        if columns is not None and columns.label is None:
            columns = _with_classes(columns, cells, is_row)
            split = partial(by_class, separator=separator, columns=columns, width=len(cells))
            return Form(split, has_header=True, has_labels=True)
    words = first.rsplit(None, 1)
    if len(words) == 2 and ";" in words[1] and not words[0].endswith((",", ";")) and is_row(*words):
        return Form(by_space_sets, has_header=False, has_labels=True)
    form = labelled_form(first, is_row=is_row)
    return form._replace(split=by_space_sets) if form.split is by_space else form


def frame_folder_label_set_form(first: str, *, is_row: IsRow) -> Form:
    """Return the form of a list of folders and their labels that begins with this line.

    Of several numbers behind a folder the first counts its frames, as in MMAction2's rawframes.
    """
    words = first.split()
    counted = len(words) > 3 and all(map(INTEGER.fullmatch, words[-3:])) and len(split_cells(first)) == 1
    if counted or counts_frames(first, is_row=is_row):
        return Form(counted_by_space_sets, has_header=False, has_labels=True)
    return label_set_form(first, is_row=is_row)


def _with_classes(columns: Columns, cells: Sequence[str], is_row: IsRow) -> Columns:
    """Return the columns with one for every class: those beside path and segment, called as the classes.

    Raises:
        RowError: Some are and others are not, or none of several is.
    """
    known = {columns.path, *(columns.bounds or ())}
    others = [(place, name) for place, name in enumerate(cells) if place not in known]
    classes = [(place, name) for place, name in others if is_row("", name)]
    if not classes:
        names = ", ".join(repr(name) for _, name in others)
        raise RowError(
            f"the header has path and {names or 'nothing else'}; expected a column label, or one for each "
            "class, named as in the class list (data.classes)"
        )
    strange = [name for _, name in others if not is_row("", name) and name.lower() not in VERIFIED_COLUMNS]
    if strange:
        raise RowError(
            f"the header names classes, as {classes[0][1]!r}, and {', '.join(map(repr, strange))}, which is "
            "none; expected path, and a column for each class or one called label"
        )
    return columns._replace(classes=classes)


def by_class(lines: Sequence[str], *, separator: str, columns: Columns, width: int) -> Cells:
    """Return paths and labels of rows that have 1 in the column of every class that the video shows."""
    cells = by_separator(lines, separator=separator, columns=columns, width=width)
    labels = []
    for row in csv_rows(lines, separator=separator, least=columns.last + 1, width=width):
        said = {name: row[place].strip() for place, name in columns.classes}
        odd = next((name for name, cell in said.items() if cell not in ("0", "1")), None)
        if odd is not None:
            raise RowError(f"column {odd!r} of {row[columns.path]!r} is {said[odd]!r}; expected 0 or 1")
        labels.append(";".join(name for name, cell in said.items() if cell == "1"))
    return cells._replace(label=labels)


def by_space_sets(lines: Sequence[str]) -> Cells:
    """Return paths and labels of lines `path label label ...`, as MMAction2 writes them.

    Labels are all numbers that a line ends with, or what its last space parts.
    """
    paths, labels = [], []
    for line in lines:
        path, numbers = _numbers_behind(line)
        if not numbers:
            path, *numbers = line.rsplit(None, 1)
        if not path or not numbers:
            raise RowError(no_row(line))
        paths.append(unquoted_path(path))
        labels.append(";".join(numbers))
    return Cells(paths, labels)


def counted_by_space_sets(lines: Sequence[str]) -> Cells:
    """Return paths, labels and numbers of frames of lines `folder num_frames label label ...`."""
    paths, labels, counts = [], [], []
    for line in lines:
        path, numbers = _numbers_behind(line)
        if not path or len(numbers) < 2:
            raise RowError(f"{line!r} is not a row `folder num_frames label ...`, as the first line is")
        if int(numbers[0]) < 1:
            raise RowError(f"{line!r} counts {numbers[0]} frames; expected 1 or more")
        paths.append(path)
        counts.append(numbers[0])
        labels.append(";".join(numbers[1:]))
    return Cells(paths, labels, [counts])


def _numbers_behind(line: str) -> tuple[str, list[str]]:
    """Return a line without the numbers that it ends with, and these."""
    rest, numbers = line.strip(), list[str]()
    while len(parts := rest.rsplit(None, 1)) == 2 and INTEGER.fullmatch(parts[1]):
        rest, numbers = parts[0], [parts[1], *numbers]
    return rest, numbers
