"""Augmentations in time."""

from dataclasses import replace

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor, nn

from gcvideo.data.sampling import ClipFrames, ClipSampler, RandomClip


class TimeReversal(nn.Module):
    """Let a clip run backwards, with a probability; not where the direction of motion is the class.

    Args:
        probability: Of a clip to be reversed.
    """

    def __init__(self, probability: float = 0.5) -> None:
        super().__init__()
        self.probability = require_probability(probability, "TimeReversal")

    def forward(self, clip: UInt8[Tensor, "T 3 H W"]) -> UInt8[Tensor, "T 3 H W"]:
        return clip.flip(0) if torch.rand(()) < self.probability else clip


class FrameDropping(nn.Module):
    """Lose frames, as a camera or a network does: in the place of a lost frame stands the last one before it.

    Args:
        probability: Of a frame to be lost; the first one never is.
    """

    def __init__(self, probability: float = 0.1) -> None:
        super().__init__()
        self.probability = require_probability(probability, "FrameDropping")

    def forward(self, clip: UInt8[Tensor, "T 3 H W"]) -> UInt8[Tensor, "T 3 H W"]:
        number = torch.arange(len(clip))
        kept = torch.where(torch.rand(len(clip)) < self.probability, 0, number)
        return clip[kept.cummax(0).values.to(clip.device)]


class RandomStrideClip(ClipSampler):
    """One clip that starts anywhere it fits, at a stride that is drawn for every clip: its speed varies.

    Args:
        clip: Frames of the clip; its stride is replaced.
        min_stride: Smallest stride, in source frames.
        max_stride: Largest stride.
    """

    def __init__(self, clip: ClipFrames, *, min_stride: int, max_stride: int) -> None:
        if not 1 <= min_stride <= max_stride:
            raise ValueError(
                f"RandomStrideClip: min_stride {min_stride}, max_stride {max_stride}; expected "
                "1 <= min_stride <= max_stride"
            )
        self.clips = [RandomClip(replace(clip, stride=s)) for s in range(min_stride, max_stride + 1)]

    def __call__(self, video_frames: int) -> Int64[Tensor, "1 T"]:
        return self.clips[int(torch.randint(len(self.clips), ()))](video_frames)


def require_probability(probability: float, of: str) -> float:
    """Return a probability.

    Raises:
        ValueError: It is none.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"{of}: probability is {probability}; expected 0..1")
    return probability
