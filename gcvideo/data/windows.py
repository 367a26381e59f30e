"""A clip slid over a video of any length: where in time something happens."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from gcvideo.data.dataset import Crops, read_views
from gcvideo.data.decoding import open_video
from gcvideo.data.sampling import ClipFrames

WINDOWS_PER_READ = 8
"""Windows decoded in one pass: enough to read overlapping frames once, few enough for 1080p."""


class Windows(NamedTuple):
    """Some neighbouring windows of a video, each with its S spatial crops."""

    start_seconds: list[float]
    end_seconds: list[float]
    views: UInt8[Tensor, "V S T H W 3"]


def window_starts(video_frames: int, clip: ClipFrames, *, hop: int) -> Int64[Tensor, " V"]:
    """First frames of clips `hop` frames apart, and of one more that ends with the video where they do not.

    A video shorter than the clip has one window, from frame 0.
    """
    last = clip.last_start(video_frames)
    starts = torch.arange(0, last + 1, hop)
    return starts if starts[-1] == last else torch.cat([starts, torch.tensor([last])])


class SlidingWindows:
    """The windows of one video, in order, once; only WINDOWS_PER_READ of them are in memory at a time.

    Read with PyAV, since decord decodes ahead without bound while a video is open.

    Args:
        path: The video.
        clip: Which frames make a window.
        crops: Spatial crops of frames [N 3 H W]: one as a tensor, or several as a list of tensors.
        hop_seconds: From the start of one window to the next; by default half a window.

    Raises:
        ValueError: hop_seconds is not above 0.
        DecodeError: The video cannot be read.
    """

    def __init__(
        self,
        path: Path,
        *,
        clip: ClipFrames,
        crops: Crops,
        hop_seconds: float | None = None,
    ) -> None:
        if hop_seconds is not None and hop_seconds <= 0:
            raise ValueError(f"hop_seconds is {hop_seconds}; expected more than 0")
        self.clip = clip
        self.crops = crops
        self.reader = open_video(path, "pyav")
        self.duration_seconds = len(self.reader) / self.reader.fps
        hop = clip.span / 2 if hop_seconds is None else hop_seconds * self.reader.fps
        self.starts = window_starts(len(self.reader), clip, hop=max(round(hop), 1))

    def __iter__(self) -> Iterator[Windows]:
        with self.reader as reader:
            for starts in self.starts.split(WINDOWS_PER_READ):
                views = read_views(reader, self.clip.at(starts, len(reader)), self.crops)
                yield Windows(
                    (starts / reader.fps).tolist(),
                    ((starts + self.clip.span).clamp(max=len(reader)) / reader.fps).tolist(),
                    views.unflatten(0, (len(starts), -1)),
                )
