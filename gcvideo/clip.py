"""What flows through gcvideo, and the one legend of its axis letters.

B video in a batch, V view of a video (temporal clip x spatial crop), C channel, T frame of a clip,
H W pixel row and column (or feature-map cell), P = T*H*W position, Q query position, K class,
N frame asked of a reader.
"""

from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float, Int64, UInt8
from torch import Tensor


class VideoRecord(NamedTuple):
    """One annotated video: one row of an annotation file."""

    path: Path
    """Where the file is: the root joined with the path as written in the annotation."""
    label: int
    """Class index, 0..K-1."""
    video_id: str
    """The path as written in the annotation: the video's name in every output."""


class Clip(NamedTuple):
    """All views of one video that one forward pass needs, decoded once."""

    frames: UInt8[Tensor, "V T H W 3"]
    label: int
    video_id: str


class ClipBatch(NamedTuple):
    """A batch of clips. A NamedTuple, since both pin_memory and Lightning's transfer take it apart."""

    frames: UInt8[Tensor, "B V T H W 3"]
    label: Int64[Tensor, " B"]
    video_id: list[str]


class ViewBatch(NamedTuple):
    """A batch as the network reads it: every view normalised, on the device."""

    views: Float[Tensor, "B V 3 T H W"]
    target: Int64[Tensor, " B"] | Float[Tensor, "B K"]
    """Class indices, or class probabilities where mixup or cutmix blended the clips."""
    video_id: list[str]
