"""A window of resized frames, without resizing what lies outside it."""

from typing import NamedTuple

import torch
from jaxtyping import UInt8
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from gcvideo.private_names import upsample_antialiased

NATIVE = ("AVX2", "AVX512")
"""Where torch resizes uint8 as such; elsewhere torchvision goes by way of float."""


class Window(NamedTuple):
    """A rectangle of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """The row below it."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """The column to the right of it."""
        return self.left + self.width


def size_for(height: int, width: int, *, short_side: int) -> tuple[int, int]:
    """Return height and width with the short side resized to so many pixels, as torchvision rounds them."""
    if width < height:
        return int(short_side * height / width), short_side
    return short_side, int(short_side * width / height)


def resized_window(
    frames: UInt8[Tensor, "N C H W"], size: tuple[int, int], window: Window
) -> UInt8[Tensor, "N C h w"]:
    """Return a window of frames that are resized bilinearly, antialiased, to a height and width.

    It is within one grey level of that of the whole resized frames, and equal to it in nearly all pixels.
    From their top left corner to the window's bottom right one pixels are computed; what is beyond is not.
    """
    if size != frames.shape[-2:]:
        if torch.backends.cpu.get_cpu_capability() in NATIVE:
            frames = _resized_corner(frames, size, window)
        else:
            frames = TF.resize(frames, list(size))
    return frames[..., window.top : window.bottom, window.left : window.right]


def _resized_corner(
    frames: UInt8[Tensor, "N C H W"], size: tuple[int, int], window: Window
) -> UInt8[Tensor, "N C to_bottom to_right"]:
    """Return the top left part of resized frames, to the end of a window or one pixel further.

    torch leaves an axis as it is if it is to keep its length, even if its scale is not 1.
    """
    ends, scales = [], []
    for old, new, end in zip(frames.shape[-2:], size, (window.bottom, window.right), strict=True):
        ends.append(end + 1 if end == old != new else end)
        scales.append(new / old)
    return upsample_antialiased(frames, ends, False, *scales)
