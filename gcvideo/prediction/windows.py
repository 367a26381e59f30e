"""A clip slid over a video of any length: where in time something happens."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from gcvideo.clip import Span, VideoRecord
from gcvideo.data.dataset import Crops, decode_views
from gcvideo.data.decoding import OpenReader, open_record
from gcvideo.data.decoding.segments import boundaries_in_video
from gcvideo.data.sampling import ClipFrames, VideoLength, clip_spans

WINDOWS_PER_READ = 8
"""Windows decoded in one pass: enough to read overlapping frames once, few enough for 1080p."""
CLOCK_ERROR = 0.0005
"""Half a tick of the coarsest clock that containers keep (Matroska, Flash: milliseconds), in seconds."""


class Windows(NamedTuple):
    """Some neighbouring windows of a video, each with its S spatial crops."""

    spans: list[Span]
    views: UInt8[Tensor, "V S T H W 3"]


def window_starts(
    boundaries: Float64[Tensor, " boundaries"], clip: ClipFrames, *, hop_seconds: float | None
) -> Int64[Tensor, " V"]:
    """Return the first frames of clips a hop apart, and of one more that ends with the video if they do not.

    A video shorter than the clip has one window, from frame 0.

    Args:
        boundaries: Frame i of the video is shown from boundaries[i] to boundaries[i + 1], in seconds.
        clip: Which frames make a window.
        hop_seconds: From one start to the next; None is half a clip's frames.
    """
    num_frames = len(boundaries) - 1
    length = VideoLength(num_frames, num_frames / float(boundaries[-1]))
    last = torch.tensor([int(clip.last_start(length))])
    if hop_seconds is None:
        starts = torch.arange(0, int(last) + 1, max(round(clip.span_in(length) / 2), 1))
    else:
        starts = hop_starts(boundaries[: int(last) + 1], hop_seconds)
    return torch.cat([starts, last]).unique()


def hop_starts(shown_at: Float64[Tensor, " N"], hop_seconds: float) -> Int64[Tensor, " V"]:
    """Return the first frame at or after 0, hop, 2 hop, ... seconds; one where hops pass without a frame."""
    hops_passed = ((shown_at + CLOCK_ERROR) / hop_seconds).floor()
    return hops_passed.diff(prepend=hops_passed.new_tensor([-1.0])).nonzero().flatten()


class SlidingWindows:
    """The windows of one video, in order, once; only WINDOWS_PER_READ of them are in memory at a time.

    decord is not for them, since it decodes ahead without bound while a video is open.

    Args:
        video: The video, or a segment of one, whose times are those in the video.
        clip: Which frames make a window.
        crops: Spatial crops of frames [N 3 H W]: one as a tensor, or several as a list of tensors.
        hop_seconds: From the start of one window to the next, by the file's time stamps; by default half a
            window's frames.
        reader: What opens the video; by default PyAV.

    Raises:
        ValueError: hop_seconds is not above 0.
        DecodeError: The video cannot be read.
    """

    def __init__(
        self,
        video: VideoRecord,
        *,
        clip: ClipFrames,
        crops: Crops,
        hop_seconds: float | None = None,
        reader: OpenReader | None = None,
    ) -> None:
        if hop_seconds is not None and not hop_seconds > 0:
            raise ValueError(f"hop_seconds is {hop_seconds}; expected more than 0")
        self.clip = clip
        self.crops = crops
        self.reader = open_record(video, reader or "pyav")
        self.boundaries = self.reader.boundaries()
        self.in_video = boundaries_in_video(self.reader)
        self.start_seconds, self.duration_seconds = float(self.in_video[0]), float(self.boundaries[-1])
        self.starts = window_starts(self.boundaries, clip, hop_seconds=hop_seconds)

    def __iter__(self) -> Iterator[Windows]:
        with self.reader as reader:
            for starts in self.starts.split(WINDOWS_PER_READ):
                frames = self.clip.at(starts, VideoLength(len(reader), reader.fps))
                views = decode_views(reader, frames, self.crops)
                yield Windows(clip_spans(self.in_video, frames), views.unflatten(0, (len(starts), -1)))
