"""What flows from folders of pictures and masks to the segmenter."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from jaxtyping import Float, Integer, UInt8
from torch import Tensor

IGNORED = 255
"""The class of pixels that count nowhere."""
MOST_CLASSES = 255
"""So that every class and IGNORED fit in a byte."""


class Segmented(NamedTuple):
    """One picture and the classes of its pixels."""

    image: UInt8[Tensor, "3 H W"]
    classes: UInt8[Tensor, "H W"]
    """Class indices or IGNORED; all of a picture of which nothing is known are IGNORED."""
    name: str
    stem: str
    """What files that are written of it are called, without an ending."""


class SameSize(NamedTuple):
    """Pictures of one size; normalised when they are on the device."""

    images: UInt8[Tensor, "B 3 H W"] | Float[Tensor, "B 3 H W"]
    classes: Integer[Tensor, "B H W"]


class SegmentedBatch(NamedTuple):
    """Pictures in groups of one size each; crops of a training are one group.

    Pictures are never filled up to the size of others: a context block pools over the whole of a picture, and
    what a picture is found to be would depend on those beside it.
    """

    groups: list[SameSize]
    names: list[str]
    """In the order of the groups."""
    stems: list[str]


def collate(items: Sequence[Segmented]) -> SegmentedBatch:
    """Put pictures together, those of one size behind one another."""
    ordered = sorted(items, key=lambda item: tuple(item.classes.shape))
    groups = []
    for _, same in groupby(ordered, key=lambda item: tuple(item.classes.shape)):
        images, classes, *_ = zip(*same, strict=True)
        groups.append(SameSize(torch.stack(images), torch.stack(classes)))
    return SegmentedBatch(groups, [item.name for item in ordered], [item.stem for item in ordered])
