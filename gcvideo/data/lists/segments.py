"""Segments of videos as lists write them: start and end, in seconds or in numbers of frames."""

import math
from array import array
from collections.abc import Sequence
from typing import Any

from gcvideo.clip import Segment
from gcvideo.data.decoding.segments import END_SLACK_SECONDS, past_end
from gcvideo.data.lists.cells import Bounds, RowError


def segment_columns(
    bounds: Bounds | None, *, num_frames: Sequence[int] = (), fps: Sequence[float] = ()
) -> "tuple[array[Any], array[Any], array[Any]]":
    """Return start, end and unit of the segments of some rows.

    Args:
        bounds: As written; None where rows are whole videos.
        num_frames: Of each video, where the list says it.
        fps: Likewise.

    Raises:
        RowError: A bound is no number, a segment is empty or reversed, or ends behind its video.
    """
    if bounds is None:
        return array("d"), array("d"), array("b")
    number = _frame if bounds.in_frames else _second
    starts, ends = array("d", map(number, bounds.starts)), array("d", map(number, bounds.ends))
    for start, end in zip(starts, ends, strict=True):
        if not start < end:
            found = "is empty" if start == end else "ends before it starts"
            raise RowError(
                f"segment {Segment(start, end, bounds.in_frames)} {found}; expected an end behind the start"
            )
    for row, (end, frames) in enumerate(zip(ends, num_frames)):  # noqa: B905 (none where no list says it)
        last = float(frames) if bounds.in_frames else (frames / fps[row] if fps else math.inf)
        if end > last + (0 if bounds.in_frames else END_SLACK_SECONDS):
            segment = Segment(starts[row], end, bounds.in_frames)
            raise RowError(f"segment {past_end(segment, num_frames=frames, duration_seconds=last)}")
    return starts, ends, array("b", [bounds.in_frames] * len(starts))


def _frame(cell: str) -> float:
    text = cell.strip()
    if text.isascii() and text.isdecimal() and int(text) < 2**53:
        return float(text)
    raise RowError(f"segment bound {text!r} is no number of a frame; expected 0, 1, 2, ...")


def _second(cell: str) -> float:
    text = cell.strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf or "_" in text:
        raise RowError(f"segment bound {text!r} is no time; expected seconds from 0, as 83.5")
    return seconds
