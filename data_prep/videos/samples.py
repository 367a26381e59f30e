"""Which rows of a list are samples of their videos, whose properties are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data_prep.lists.manifest import VideoProperties
from data_prep.lists.video_lists import IN_FRAMES, ListedVideo, VideoList
from gcvideo.clip import Segment
from gcvideo.data.decoding import DecodeError, OpenAny
from gcvideo.data.decoding.segments import CLOCK_ERROR, END_SLACK_SECONDS, frames_of
from gcvideo.data.lists.cells import Bounds, RowError
from gcvideo.data.lists.rows import lines_of_rows
from gcvideo.data.lists.segments import segment_columns


class JudgedRow(NamedTuple):
    """A row of a list, of a video that was examined."""

    video: ListedVideo
    name: str
    """The sample's in every output: the path, of a segment with #t=12.5,20 or #frames=300,450 behind it."""
    properties: VideoProperties | None
    """None where training cannot read the video."""
    reason: str = ""
    """Why it is no sample; empty where it is one."""
    ends_with_video: bool = False
    """Whether it is a segment that ends a little later than its video does."""


def judged_rows(
    listed: VideoList, rows: Mapping[str, dict[str, Any]], *, root: Path, opened: OpenAny
) -> list[JudgedRow]:
    """Return the rows of a list whose videos were examined, in order.

    Args:
        listed: The list.
        rows: Path -> properties of the video, by the names of VideoProperties, or {"bad": reason}.
        root: Folder of the videos.
        opened: Opens a video whose properties do not tell whether a segment holds a frame.
    """
    judged: dict[int, JudgedRow] = {}
    wrong = []
    for number, video in enumerate(listed.videos):
        if video.path not in rows:
            continue
        row, segment = rows[video.path], segment_of(video, listed.bounds)
        name = video.path if segment is None else f"{video.path}#{segment}"
        if "bad" in row:
            judged[number] = JudgedRow(video, name, None, row["bad"])
            continue
        properties = VideoProperties(**row)
        reason = why_no_sample(video, segment, properties, root / video.path, opened)
        if reason is not None:
            wrong.append(number)
        judged[number] = JudgedRow(
            *(video, name, properties, reason or ""), reason is None and _ends_with(properties, segment)
        )
    if wrong and listed.file is not None:
        lines = lines_of_rows(listed.file, wrong, num_rows=len(listed.videos))
        for number, line in zip(wrong, lines, strict=True):
            judged[number] = judged[number]._replace(reason=f"line {line}: {judged[number].reason}")
    return list(judged.values())


def segment_of(video: ListedVideo, bounds: Sequence[str]) -> Segment | None:
    """Return the segment of a row in a list with these columns of segments; None of a whole video."""
    return Segment(*map(float, video.segment), in_frames=bounds == IN_FRAMES) if bounds else None


def why_no_sample(
    video: ListedVideo, segment: Segment | None, properties: VideoProperties, file: Path, opened: OpenAny
) -> str | None:
    """Return why training would refuse a row of a readable video, or None."""
    num_frames = properties.num_frames
    if video.num_frames not in (None, num_frames):
        return f"its list says {video.num_frames} frames, and it has {num_frames}; correct the list"
    if segment is None:
        return None
    try:  # as training will when it reads the list of what is good
        start, end = ([bound] for bound in video.segment)
        bounds = Bounds(start, end, segment.in_frames)
        segment_columns(bounds, num_frames=[num_frames], fps=[properties.fps])
    except RowError as error:
        return str(error)
    if segment.in_frames:
        return None
    # What is longer than every frame holds the start of one.
    duration, longest = properties.duration_seconds, properties.longest_frame_seconds
    assert duration is not None  # both are asked for where a list has seconds
    assert longest is not None
    is_long = segment.end - segment.start > longest
    starts_before_last = segment.start + longest < duration - CLOCK_ERROR
    if is_long and starts_before_last and segment.end <= duration + END_SLACK_SECONDS:
        return None
    try:
        with opened(file) as reader:
            frames_of(segment, reader, path=file)
    except DecodeError as error:
        return str(error).replace(f"{file}: its ", "")
    return None


def _ends_with(properties: VideoProperties, segment: Segment | None) -> bool:
    duration = properties.duration_seconds
    return segment is not None and not segment.in_frames and duration is not None and segment.end > duration
