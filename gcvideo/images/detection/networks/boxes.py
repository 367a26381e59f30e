"""Boxes, left, top, right and bottom in pixels: their coding, and suppression of those that overlap."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchvision.ops import nms

from gcvideo.images.private_names import BoxCoder

Spread = tuple[float, float, float, float]


class CentredBoxCoder(BoxCoder):
    """(dx, dy, dw, dh): the centre's shift over the reference's sides, logarithms of ratios of sides.

    Girshick et al., appendix C (arXiv:1311.2524), each divided by its spread. torchvision limits dw and dh
    from above alone; mmdetection also from below: no box is less than 16 / 1000 of its reference. They are
    decoded in single precision, whatever the network computes in.

    Args:
        spread: Standard deviations of dx, dy, dw, dh, as they are expected.
    """

    def __init__(self, spread: Spread) -> None:
        dx, dy, dw, dh = spread
        super().__init__(weights=(1 / dx, 1 / dy, 1 / dw, 1 / dh))
        self.spread = spread

    def decode_single(self, rel_codes: Float[Tensor, "N K4"], boxes: Float[Tensor, "N 4"]) -> Tensor:
        """Return the K boxes [N K4] of every reference."""
        references = boxes.float()[:, None]  # N 1 4
        deltas = rel_codes.float().unflatten(1, (-1, 4)) * rel_codes.new_tensor(
            self.spread, dtype=torch.float32
        )
        centres = (references[..., :2] + references[..., 2:]) * 0.5
        sides = references[..., 2:] - references[..., :2]
        limited = deltas[..., 2:].clamp(-self.bbox_xform_clip, self.bbox_xform_clip)
        moved = centres + sides * deltas[..., :2]
        half = sides * limited.exp() * 0.5
        return torch.cat([moved - half, moved + half], dim=-1).flatten(1)


def suppress(
    boxes: Float[Tensor, "N 4"], scores: Float[Tensor, " N"], groups: Int64[Tensor, " N"], *, iou: float
) -> Int64[Tensor, " M"]:
    """Return which boxes are left, the likeliest first, of those that overlap by more than `iou` in a group.

    Groups are moved apart on the plane, as mmcv does at any number of boxes; torchvision goes through many
    boxes group by group, whose overlaps then have other roundings.
    """
    if not len(boxes):
        return groups.new_empty(0)
    moved = boxes + (groups.to(boxes) * (boxes.max() + 1))[:, None]
    return nms(moved, scores, iou)
