"""Which frames of a video make its clips: arithmetic on frame indices and times, without any video.

A clip of T frames covers a span of frames. A start may be anywhere such that the span fits; where the video
is shorter than the span, the clip starts at frame 0 and every index past the end holds the last frame, or
begins again.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gcvideo.clip import Span

Spacing = Literal["stride", "linspace"]
PastEnd = Literal["hold", "loop"]
StartRule = Literal["to_end", "before_end"]


class VideoLength(int):
    """How many frames a video has, how many a second, and which of its file's is its first."""

    fps: float
    first: int

    def __new__(cls, num_frames: int, fps: float, *, first: int = 0) -> "VideoLength":
        length = super().__new__(cls, num_frames)
        length.fps, length.first = fps, first
        return length


@dataclass(frozen=True)
class ClipFrames:
    """The frames of one clip, as offsets from its start.

    Args:
        num_frames: T, frames in a clip.
        stride: Source frames from one clip frame to the next.
        spacing: stride takes start + stride*i (MMAction2, pytorchvideo); linspace spreads T frames over
            T*stride source frames, both ends taken (PySlowFast: 8x8 steps by 9, not 8).
        target_fps: Count strides in frames of a video of so many a second: of another video the clip covers
            as much time, with the nearest frame before each moment (30 in PySlowFast). By default a clip has
            as many source frames whatever their rate.
        past_end: What follows the end of a video that is shorter than a clip: hold repeats its last frame,
            loop begins again (MMAction2).
        align: Training clips start at a multiple of so many frames: with --stride of data_prep/transcode.py,
            at one that its files have at once, which is read faster. Fewer starts are drawn, each as often;
            a video in which none fits is read from anywhere. Views of an evaluation stay where they are.
    """

    num_frames: int = 8
    stride: int = 8
    spacing: Spacing = "stride"
    target_fps: float | None = None
    past_end: PastEnd = "hold"
    align: int = 1

    def __post_init__(self) -> None:
        if self.num_frames < 1 or self.stride < 1:
            raise ValueError(
                f"a clip of {self.num_frames} frames at stride {self.stride}; both must be at least 1"
            )
        if self.target_fps is not None and not 0 < self.target_fps < float("inf"):
            raise ValueError(f"clip.target_fps is {self.target_fps:g}; expected frames per second, above 0")
        if self.align < 1:
            raise ValueError(f"clip.align is {self.align}; expected a number of frames, 1 for any start")
        if self.align > 1 and (self.target_fps is not None or self.spacing != "stride"):
            other = "spacing linspace" if self.target_fps is None else f"target_fps {self.target_fps:g}"
            raise ValueError(
                f"clip.align is {self.align}, and with {other} frames of a clip are no whole strides apart; "
                "leave one out"
            )

    @property
    def offsets(self) -> Int64[Tensor, " T"]:
        """Frame offsets from the clip's start."""
        if self.spacing == "linspace":
            return torch.linspace(0, self.num_frames * self.stride - 1, self.num_frames).long()
        return torch.arange(self.num_frames) * self.stride

    @property
    def span(self) -> int:
        """Source frames that a clip must find room for."""
        if self.spacing == "linspace":
            return self.num_frames * self.stride
        return (self.num_frames - 1) * self.stride + 1

    def last_start(self, video_frames: int) -> int | float:
        """Return the last frame at which a clip can start and still fit; 0 where none fits.

        With target_fps it may lie between two frames.
        """
        if self.target_fps is None:
            return max(video_frames - self.span, 0)
        return max(video_frames - self.span_in(video_frames), 0.0)

    def at(
        self, starts: Int64[Tensor, " V"] | Float64[Tensor, " V"], video_frames: int
    ) -> Int64[Tensor, "V T"]:
        """Return frame indices of the clips that start at `starts`, in a video of so many frames."""
        if self.target_fps is None:
            indices = starts[:, None] + self.offsets
        elif self.spacing == "stride":
            steps = torch.arange(self.num_frames, dtype=torch.float64) * self.stride
            indices = (starts[:, None] + steps * self._ratio(video_frames)).floor().long()
        else:
            indices = self._spread(starts, self.span_in(video_frames))
        return indices % video_frames if self.past_end == "loop" else indices.clamp(max=video_frames - 1)

    def _spread(
        self, starts: Int64[Tensor, " V"] | Float64[Tensor, " V"], span: int | float
    ) -> Int64[Tensor, "V T"]:
        """Spread T frames over a span, as PySlowFast from between two frames and MMAction2 from a frame."""
        if starts.is_floating_point():  # in PySlowFast's single precision, which may round to another frame
            return torch.stack(
                [torch.linspace(start, start + span - 1, self.num_frames) for start in starts.tolist()]
            ).long()
        offsets = torch.linspace(0, span - 1, self.num_frames, dtype=torch.float64).long()
        return starts[:, None] + offsets

    def span_in(self, video_frames: int) -> int | float:
        """Return the frames of this video that a clip must find room for."""
        if self.target_fps is None:
            return self.span
        ratio = self._ratio(video_frames)
        if self.spacing == "linspace":
            return max(1.0, self.num_frames * self.stride * ratio)
        return (self.num_frames - 1) * self.stride * ratio + 1

    def _ratio(self, video_frames: int) -> float:
        """Return how many frames of this video pass in the time of one of target_fps."""
        if self.target_fps is None or not isinstance(video_frames, VideoLength):
            return 1.0
        return video_frames.fps / self.target_fps


class ClipShape(NamedTuple):
    """What the clips of a batch look like, where that varies between batches."""

    num_frames: int
    min_stride: int
    """The stride of each clip is drawn from min_stride..max_stride, so that few frames span as much time."""
    max_stride: int
    crop_size: int


def clip_spans(boundaries: Float64[Tensor, " boundaries"], frames: Int64[Tensor, "V T"]) -> list[Span]:
    """Return when each clip's first frame begins to be shown, and when its last one ends.

    Frame i of the video is shown from boundaries[i] to boundaries[i + 1].
    """
    starts, ends = boundaries[frames[:, 0]], boundaries[frames[:, -1] + 1]
    return list(map(Span, starts.tolist(), ends.tolist()))


class ClipSampler(ABC):
    """A rule by which a video's clips are chosen; to write one of your own, subclass it."""

    varies: bool = False
    """Whether V differs between videos, which are then evaluated one at a time."""

    @abstractmethod
    def __call__(self, video_frames: int) -> Int64[Tensor, "V T"]:
        """Return the frame indices of a video's clips; V, unless it varies, and T are the same for all.

        What is random comes from torch's global generator, which is seeded for every video of an epoch.
        """

    def described(self) -> str:
        """Return what an evaluation's protocol calls the rule: its class."""
        return f"{type(self).__module__}.{type(self).__qualname__}"


class RandomClip(ClipSampler):
    """One clip that starts anywhere it fits and is aligned, uniformly, from torch's global generator."""

    def __init__(self, clip: ClipFrames) -> None:
        self.clip = clip

    def __call__(self, video_frames: int) -> Int64[Tensor, "1 T"]:
        last_start = self.clip.last_start(video_frames)
        if isinstance(last_start, int):
            start = self._start(last_start, video_frames)
        else:
            start = torch.rand(1, dtype=torch.float64) * last_start
        return self.clip.at(start, video_frames)

    def _start(self, last_start: int, video_frames: int) -> Int64[Tensor, " 1"]:
        """Draw one of the aligned starts, which are counted in the frames of the file."""
        step = self.clip.align
        first = -video_frames.first % step if isinstance(video_frames, VideoLength) else 0
        if first > last_start:
            first, step = 0, 1
        return first + step * torch.randint((last_start - first) // step + 1, (1,))


class RandomStride(ClipSampler):
    """The clips of a sampler, with frames and a random stride of a shape.

    The stride is drawn for every video, uniformly and before anything else (PySlowFast,
    get_random_sampling_rate).

    Args:
        clip: The full clip.
        shape: Frames and strides in its place.
        sampler: What makes a sampler of a clip.
    """

    def __init__(
        self, clip: ClipFrames, *, shape: ClipShape, sampler: Callable[[ClipFrames], ClipSampler]
    ) -> None:
        self.samplers = [
            sampler(replace(clip, num_frames=shape.num_frames, stride=stride))
            for stride in range(shape.min_stride, shape.max_stride + 1)
        ]

    def __call__(self, video_frames: int) -> Int64[Tensor, "V T"]:
        drawn = int(torch.randint(len(self.samplers), (1,)))
        return self.samplers[drawn](video_frames)


class UniformClips(ClipSampler):
    """`num_clips` clips spread evenly over a video; a single one stands in the middle.

    The start of clip k of n is last_start * k/(n-1), to the nearest frame, under the rule to_end (MMAction2),
    and last_start * k/n, rounded down, under before_end (PySlowFast, which never reaches the video's end).
    """

    def __init__(self, clip: ClipFrames, *, num_clips: int, start_rule: StartRule = "to_end") -> None:
        if num_clips < 1:
            raise ValueError(f"num_clips is {num_clips}; at least 1")
        self.clip = clip
        self.num_clips = num_clips
        self.starts = _in_the_middle if num_clips == 1 else START_RULES[start_rule]

    def __call__(self, video_frames: int) -> Int64[Tensor, "V T"]:
        starts = self.starts(self.clip.last_start(video_frames), self.num_clips)
        return self.clip.at(starts, video_frames)


class SlidingClips(ClipSampler):
    """Clips that are a hop apart, from the first frame of a video to its last, however long it is.

    Clip k starts at k * hop_frames; one more ends with the video where these do not. Of a video that has more
    of them than num_clips, that many are taken, spread evenly.

    Args:
        clip: The frames of a clip.
        num_clips: Most clips of a video, which memory has to hold; a single one stands in the middle.
        hop_frames: Frames from one start to the next; by default a clip's span in the video, with every
            frame in one clip.

    Raises:
        ValueError: A number is not positive.
    """

    varies = True

    def __init__(self, clip: ClipFrames, num_clips: int, *, hop_frames: int | None = None) -> None:
        self.clip, self.num_clips = clip, num_clips
        self.hop_frames = hop_frames
        if num_clips < 1 or (hop_frames is not None and hop_frames < 1):
            raise ValueError(
                f"num_clips is {num_clips} and hop_frames {self.hop_frames}; both must be at least 1"
            )

    def __call__(self, video_frames: int) -> Int64[Tensor, "V T"]:
        last = int(self.clip.last_start(video_frames))
        hop = int(self.clip.span_in(video_frames)) if self.hop_frames is None else self.hop_frames
        starts = torch.cat([torch.arange(0, last, max(hop, 1)), torch.tensor([last])])
        if self.num_clips == 1:
            starts = starts[len(starts) // 2, None]
        elif len(starts) > self.num_clips:
            starts = starts[torch.linspace(0, len(starts) - 1, self.num_clips).round().long()]
        return self.clip.at(starts, video_frames)

    def described(self) -> str:
        hop = self.clip.span if self.hop_frames is None else self.hop_frames
        if self.hop_frames is None and self.clip.target_fps is not None:
            return f"{super().described()}, a clip every {hop} frames at {self.clip.target_fps:g} a second"
        return f"{super().described()}, a clip every {hop} frames"


def _to_end(last_start: int | float, num_clips: int) -> Int64[Tensor, " V"]:
    if isinstance(last_start, float):  # MMAction2 rounds the interval down where it has a target_fps
        return torch.arange(num_clips) * int(last_start / (num_clips - 1))
    interval = last_start / (num_clips - 1)
    return (interval * torch.arange(num_clips, dtype=torch.float64)).round().long()


def _before_end(last_start: int | float, num_clips: int) -> Int64[Tensor, " V"] | Float64[Tensor, " V"]:
    if isinstance(last_start, float):
        return last_start * torch.arange(num_clips, dtype=torch.float64) / num_clips
    return last_start * torch.arange(num_clips) // num_clips


def _in_the_middle(last_start: int | float, num_clips: int) -> Int64[Tensor, " V"]:
    return torch.full((num_clips,), int(last_start // 2))


START_RULES: dict[StartRule, Callable[[int | float, int], Tensor]] = {
    "to_end": _to_end,
    "before_end": _before_end,
}
