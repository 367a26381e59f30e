"""What flows from annotated pictures to a detector and back."""

from typing import NamedTuple

from jaxtyping import Float, UInt8
from torch import Tensor

Target = dict[str, Tensor]
"""The N instances of a picture, as torchvision's detectors take them, in pixels of the picture.

boxes [N 4] are left, top, right, bottom; labels [N] are 1..K, 0 is the background; masks are uint8 [N H W].
In evaluation there are iscrowd [N], 1 where detections count neither as right nor as wrong, and area [N] in
pixels, by which COCO tells small instances from large ones.
"""

Prediction = dict[str, Tensor]
"""The N detections of a picture, on the CPU, in pixels of the picture; the likeliest come first.

boxes [N 4], labels [N] and scores [N]; masks uint8 [N H W] of 0 and 1, if the network finds masks.
"""


class DetectionItem(NamedTuple):
    """A picture and what is annotated of it."""

    image: UInt8[Tensor, "3 H W"]
    target: Target
    name: str
    image_id: int


class DetectionBatch(NamedTuple):
    """Pictures of their own sizes, with values 0..1 when they are on the device."""

    images: list[UInt8[Tensor, "3 _ _"]] | list[Float[Tensor, "3 _ _"]]
    targets: list[Target]
    """Empty ones of pictures of which nothing is known."""
    names: list[str]
    image_ids: list[int]


def collate(items: list[DetectionItem]) -> DetectionBatch:
    """Put pictures together."""
    return DetectionBatch(*(list(column) for column in zip(*items, strict=True)))
