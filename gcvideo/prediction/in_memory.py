"""Frames that are in memory already, read as if they were a video."""

from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from gcvideo.data.decoding import AscendingReader

PATH = Path("frames in memory")


class FramesReader(AscendingReader):
    """Frames [T H W 3] in memory, as a VideoReader.

    Args:
        frames: RGB.
        fps: Frames a second.
    """

    def __init__(self, frames: UInt8[Tensor, "T H W 3"], *, fps: float) -> None:
        num_frames, height, width, _ = frames.shape
        super().__init__(PATH, num_frames=num_frames, fps=fps, size=(width, height), name="memory")
        self.frames = frames

    def boundaries(self) -> Float64[Tensor, " boundaries"]:
        return torch.arange(len(self) + 1, dtype=torch.float64) / self.fps

    def decode(self, ascending: list[int], part_size: int) -> Iterator[UInt8[Tensor, "N H W 3"]]:
        for part in torch.tensor(ascending).split(part_size):
            yield self.frames[part]

    def close(self) -> None:
        pass
