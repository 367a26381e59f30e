"""Masks of boxes, pasted into pictures."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F


def paste(
    masks: Float[Tensor, "N 1 m m"],
    boxes: Float[Tensor, "N 4"],
    *,
    height: int,
    width: int,
    least: float = 0.5,
) -> Bool[Tensor, "N 1 H W"]:
    """Return which pixels of a picture are of each instance, with `least` probability or more.

    A pixel's centre, at its place within the box, is looked up in the mask between the centres of its cells,
    with 0 around them (Detectron2's and mmdetection's rule). torchvision rounds boxes to pixels and resizes
    the mask to them, which moves the borders of small instances.
    """
    pasted = torch.zeros(len(masks), 1, height, width, dtype=torch.bool, device=masks.device)
    starts, ends = boxes[:, :2].floor().long() - 1, boxes[:, 2:].ceil().long() + 1
    for number, (left, top, right, bottom) in enumerate(torch.cat([starts, ends], dim=1).tolist()):
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        if left >= right or top >= bottom:
            continue
        box = boxes[number]
        columns = _within(left, right, box[0], box[2])
        rows = _within(top, bottom, box[1], box[3])
        places = torch.stack([columns.expand(len(rows), -1), rows[:, None].expand(-1, len(columns))], dim=-1)
        found = F.grid_sample(masks[number : number + 1].float(), places[None], align_corners=False)
        pasted[number, 0, top:bottom, left:right] = found[0, 0] >= least
    return pasted


def _within(first: int, end: int, start: Float[Tensor, ""], stop: Float[Tensor, ""]) -> Float[Tensor, " P"]:
    """Return where the centres of pixels are between a box's borders, -1 and 1; 0 of a box without a side."""
    centres = torch.arange(first, end, device=start.device, dtype=torch.float32) + 0.5
    places = (centres - start) / (stop - start) * 2 - 1
    return torch.where(places.isinf(), 0.0, places)
