"""What the columns of a list are called, and so which of its cells are what."""

import re
from collections.abc import Sequence

from gcvideo.clip import Verified
from gcvideo.data.lists.cells import Columns, RowError

*VERIFIED_COLUMNS, CHECKSUM_COLUMN = Verified._fields
PATH_COLUMNS = ("path", "video", "video_path", "file", "file_path", "filepath", "file_name", "filename")
LABEL_COLUMNS = ("label", "label_id", "label_index", "label_name")
LABEL_COLUMNS += ("class", "class_id", "class_index", "class_name")
SEGMENT_COLUMN = re.compile(
    r"(t|time|frame)?_?(?:(start|begin)|end|stop)_?(s|sec|seconds|time|timestamp|frame)?"
)


def header(cells: Sequence[str]) -> Columns | None:
    """Return where path, label, segment and what is verified stand, if this is a header that names a path.

    Raises:
        RowError: Its columns mean more than one thing.
    """
    names = [cell.strip().lower() for cell in cells]
    path, label = _column(names, PATH_COLUMNS), _column(names, LABEL_COLUMNS)
    if path is None or (label is None and "path" not in names):
        return None
    columns = _with_bounds(Columns(path, label), names)
    if label is None or not set(VERIFIED_COLUMNS) <= set(names):
        return columns
    checksum = [CHECKSUM_COLUMN] if CHECKSUM_COLUMN in names else []  # older lists have none
    return columns._replace(verified=[*map(names.index, [*VERIFIED_COLUMNS, *checksum])])


def _with_bounds(columns: Columns, names: Sequence[str]) -> Columns:
    """Return the columns with those of segments, if there are any: in seconds, or in frames."""
    found = [(place, match) for place, name in enumerate(names) if (match := SEGMENT_COLUMN.fullmatch(name))]
    if not found:
        return columns
    starts = [place for place, match in found if match[2]]
    ends = [place for place, match in found if not match[2]]
    in_frames = {"frame" in (match[1], match[3]) for _, match in found}
    if len(starts) != 1 or len(ends) != 1 or len(in_frames) > 1:
        raise RowError(
            f"the header has columns {', '.join(match[0] for _, match in found)}; expected one start and one "
            "end of a segment, in seconds (start,end) or in frames (start_frame,end_frame)"
        )
    return columns._replace(bounds=(starts[0], ends[0]), in_frames=in_frames == {True})


def _column(names: Sequence[str], words: Sequence[str]) -> int | None:
    """Return which of the columns is called by the first of these words, or else by any of them."""
    called = [name for name in names if name == words[0]] or [name for name in names if name in words]
    if len(called) > 1:
        found = f"the header has columns {' and '.join(called)}"
        raise RowError(f"{found}; call the one that is meant {words[0]}, and no other")
    return names.index(called[0]) if called else None
