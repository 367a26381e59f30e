"""Resizing of pictures as OpenCV's, to the bit."""

import torch
from jaxtyping import Float, Int32, Int64
from torch import Tensor

ONE = 2048
"""What weights of pixels add up to."""


def resize(image: Float[Tensor, "3 _ _"], shape: tuple[int, int]) -> Float[Tensor, "3 H W"]:
    """Return a picture with values 0..1 at another height and width, with whole levels 0..255.

    It is bilinear between pixels' centres, without smoothing, in the whole numbers of OpenCV's INTER_LINEAR
    for 8 bits, by which mmdetection resizes: rounding what real numbers give has another level at every
    eighth pixel.
    """
    levels = (image.float() * 255).round().int()
    (left, right, of_left, of_right) = (tap.to(image.device) for tap in taps(image.shape[2], shape[1]))
    (above, below, of_above, of_below) = (tap.to(image.device) for tap in taps(image.shape[1], shape[0]))
    rows = (levels[:, :, left] * of_left + levels[:, :, right] * of_right) >> 4
    upper, lower = rows[:, above] * of_above[:, None], rows[:, below] * of_below[:, None]
    return (((upper >> 16) + (lower >> 16) + 2) >> 2).float()


def taps(
    before: int, after: int
) -> tuple[Int64[Tensor, " N"], Int64[Tensor, " N"], Int32[Tensor, " N"], Int32[Tensor, " N"]]:
    """Return between which two of `before` pixels each of `after` lies, and the weights of both."""
    places = ((torch.arange(after, dtype=torch.float64) + 0.5) * (before / after) - 0.5).float()
    first = places.floor()
    share = places - first
    of_first, of_second = (weight.mul(ONE).round().int() for weight in (1 - share, share))
    start = first.long()
    return start.clamp(0, before - 1), (start + 1).clamp(0, before - 1), of_first, of_second
