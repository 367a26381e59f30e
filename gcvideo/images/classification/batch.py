"""What flows from folders of pictures to the classifier."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

UNKNOWN = -1
"""The label of a picture of which nothing is known."""


class Labelled(NamedTuple):
    """One picture, cut to the size of the network."""

    image: UInt8[Tensor, "3 H W"]
    label: int
    name: str


class LabelledBatch(NamedTuple):
    """Pictures of one size; normalised when they are on the device."""

    images: UInt8[Tensor, "B 3 H W"] | Float[Tensor, "B 3 H W"]
    labels: Int64[Tensor, " B"]
    """Class indices, or -1 for UNKNOWN ones."""
    names: list[str]


def collate(items: list[Labelled]) -> LabelledBatch:
    """Put pictures together."""
    return LabelledBatch(
        torch.stack([item.image for item in items]),
        torch.tensor([item.label for item in items]),
        [item.name for item in items],
    )
