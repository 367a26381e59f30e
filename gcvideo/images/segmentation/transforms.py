"""Augmentations of pictures and their masks."""

from typing import Any

import torch
from torch import nn
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from gcvideo.images.segmentation.batch import IGNORED


class RandomScale(v2.Transform):
    """Resize pictures bilinearly and masks to the nearest, both sides by one factor, drawn from a range.

    Args:
        smallest: Least factor.
        largest: Greatest factor.
    """

    def __init__(self, smallest: float, largest: float) -> None:
        super().__init__()
        if not 0 < smallest <= largest:
            raise ValueError(
                f"data.min_scale is {smallest} and data.max_scale {largest}; expected 0 < min <= max"
            )
        self.smallest, self.largest = smallest, largest

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = flat_inputs[0].shape[-2:]
        factor = torch.empty(()).uniform_(self.smallest, self.largest).item()
        return {"size": [max(1, round(height * factor)), max(1, round(width * factor))]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.resize(inpt, size=params["size"], antialias=True)


def random_crops(
    crop_size: int,
    *,
    scales: tuple[float, float],
    flip_probability: float,
    fill: list[int],
    augment: list[nn.Module],
) -> v2.Compose:
    """Return random scale, crop, flip and what else is asked for, of pictures and masks alike.

    A scaled picture that is smaller than the crop stands whole at a random place in it; around it are one
    colour and, in the mask, IGNORED.

    Args:
        crop_size: Side of the crop, in pixels.
        scales: Least and greatest factor of scale.
        flip_probability: Of a crop, from left to right.
        fill: Red, green and blue, 0..255.
        augment: Further transforms of torchvision.transforms.v2.
    """
    return v2.Compose(
        [
            RandomScale(*scales),
            v2.RandomCrop(
                crop_size, pad_if_needed=True, fill={tv_tensors.Image: fill, tv_tensors.Mask: IGNORED}
            ),
            v2.RandomHorizontalFlip(flip_probability),
            *augment,
        ]
    )
