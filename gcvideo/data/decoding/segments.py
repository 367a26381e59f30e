"""A segment of a video, read as if it were a video of its own."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from gcvideo.clip import Segment
from gcvideo.data.decoding.reader import ClosedOnExit, DecodeError, VideoReader

CLOCK_ERROR = 0.0005
"""Half a tick of times that are written in milliseconds, in seconds."""
END_SLACK_SECONDS = 0.5
"""How far behind its video's end a segment may end: lists give seconds rounded to whole ones."""


class SegmentReader(ClosedOnExit):
    """The frames of an open video that begin within a segment, numbered from 0; no other is ever decoded.

    Args:
        video: The open video. It is closed with the segment.
        segment: The part of it.
        path: Where the video is, for messages.

    Raises:
        DecodeError: The segment ends behind the video, or no frame begins in it. The video is closed then.
    """

    def __init__(self, video: VideoReader, segment: Segment, *, path: Path) -> None:
        self.video = video
        self.fps = video.fps
        """Of the whole video."""
        try:
            self.frames = frames_of(segment, video, path=path)
        except DecodeError:
            video.close()
            raise

    @property
    def name(self) -> str:
        return self.video.name

    def __len__(self) -> int:
        return len(self.frames)

    def boundaries(self) -> Float64[Tensor, " boundaries"]:
        of_video = self.boundaries_in_video()
        return of_video - of_video[0]

    def boundaries_in_video(self) -> Float64[Tensor, " boundaries"]:
        """Return the boundaries of the segment's frames, in seconds from the start of the video."""
        return self.video.boundaries()[self.frames.start : self.frames.stop + 1]

    def frames_at(self, indices: Sequence[int]) -> UInt8[Tensor, "N H W 3"]:
        return self.video.frames_at(self._in_video(indices))

    def parts_at(self, ascending: Sequence[int]) -> Iterator[UInt8[Tensor, "N H W 3"]]:
        return self.video.parts_at(self._in_video(ascending))

    def _in_video(self, indices: Sequence[int]) -> list[int]:
        """Return the numbers that frames of the segment have in the video."""
        outside = next((index for index in indices if not 0 <= index < len(self)), None)
        if outside is not None:
            raise IndexError(
                f"frame {outside} was asked for, but the segment has {len(self)} frames; indices are "
                f"0..{len(self) - 1}"
            )
        return [self.frames[index] for index in indices]

    def close(self) -> None:
        self.video.close()


def frames_of(segment: Segment, video: VideoReader, *, path: Path) -> range:
    """Return the frames of a video that begin in [start, end), by the file's time stamps.

    Raises:
        DecodeError: The segment ends behind the video, or there is none.
    """
    if segment.in_frames:
        first, end, duration = math.ceil(segment.start), math.ceil(segment.end), math.nan
        is_past = end > len(video)
    else:
        boundaries = video.boundaries()
        duration = float(boundaries[-1])
        bounds = boundaries.new_tensor(segment[:2]) - CLOCK_ERROR
        first, end = torch.searchsorted(boundaries[:-1].contiguous(), bounds).tolist()
        is_past = segment.end > duration + END_SLACK_SECONDS
    if is_past:
        said = past_end(segment, num_frames=len(video), duration_seconds=duration)
        raise DecodeError(f"{path}: its segment {said}")
    if first >= end:
        raise DecodeError(
            f"{path}: its segment {segment} holds none of its {len(video)} frames, the last of which ends at "
            f"{duration:.3f} s; correct the list"
        )
    return range(first, end)


def past_end(segment: Segment, *, num_frames: int, duration_seconds: float) -> str:
    """Say that a segment ends behind its video."""
    if segment.in_frames:
        found = f"has {num_frames} frames, 0..{num_frames - 1}"
    else:
        found = f"ends at {duration_seconds:.3f} s"
    return f"{segment} ends behind the video, which {found}; correct the list"


def boundaries_in_video(reader: VideoReader) -> Float64[Tensor, " boundaries"]:
    """Return the boundaries of a reader's frames by the clock of the video, also where it reads a segment."""
    return reader.boundaries_in_video() if isinstance(reader, SegmentReader) else reader.boundaries()
