"""What a detector is trained by."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import roi_align

BoxLoss = Callable[[Tensor, Tensor], Tensor]
"""The sum over the numbers of deltas found and deltas wanted."""

absolute: BoxLoss = partial(F.l1_loss, reduction="sum")
"""|x|, as of mmdetection's Mask R-CNN; torchvision has the smooth one, of beta 1/9, everywhere."""


def smooth(beta: float) -> BoxLoss:
    """Return x² / 2 beta below beta, and |x| - beta / 2 from there on."""
    return partial(F.smooth_l1_loss, beta=beta, reduction="sum")


def region_losses(
    logits: Float[Tensor, "N K1"],
    deltas: Float[Tensor, "N R 4"],
    *,
    labels: Int64[Tensor, " N"],
    wanted: Float[Tensor, "N 4"],
    box_loss: BoxLoss,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return cross-entropy over N boxes, and the loss of the deltas of those that are of a class, over N.

    Deltas are those of a box's own class, or the one that all classes share (R = 1).
    """
    count = max(len(labels), 1)
    classes = F.cross_entropy(logits, labels, reduction="sum") / count
    (positive,) = (labels > 0).nonzero(as_tuple=True)
    of_class = labels[positive] - 1 if deltas.shape[1] > 1 else torch.zeros_like(positive)
    return classes, box_loss(deltas[positive, of_class], wanted[positive]) / count


def mask_loss(
    logits: Float[Tensor, "N K m m"],
    *,
    labels: Int64[Tensor, " N"],
    wanted: Float[Tensor, "N m m"],
) -> Float[Tensor, ""]:
    """Return the binary cross-entropy of the masks of the boxes' own classes 1..K; 0 of no box."""
    own = logits[torch.arange(len(labels), device=labels.device), labels - 1]
    return F.binary_cross_entropy_with_logits(own, wanted, reduction="sum") / max(wanted.numel(), 1)


def mask_targets(
    masks: UInt8[Tensor, "M H W"],
    boxes: Float[Tensor, "N 4"],
    instances: Int64[Tensor, " N"],
    *,
    size: int,
) -> Float[Tensor, "N m m"]:
    """Return its instance's mask in each box, `size` by `size`: 1 where at least half of a bin is.

    torchvision keeps the share of the bin, from cells that are not aligned.
    """
    regions = torch.cat([instances[:, None].to(boxes), boxes], dim=1)
    shares = roi_align(masks[:, None].to(boxes), regions, size, 1.0, sampling_ratio=0, aligned=True)
    return (shares[:, 0] >= 0.5).to(boxes)


def picture_by_picture(*columns: Sequence[Tensor]) -> list[Tensor]:
    """Return the rows of all pictures, one picture after another, of each column."""
    return [torch.cat(list(column)) for column in columns]
