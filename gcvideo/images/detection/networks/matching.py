"""Which boxes learn from which instances."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchvision.ops import box_iou

from gcvideo.images.private_names import BalancedPositiveNegativeSampler, BoxCoder, Matcher


class AnchorMatcher(Matcher):
    """Anchors of IoU 0.7 and more with an instance are positive, below 0.3 negative; so are the best of each.

    The best anchors of an instance are positive from `least_iou` on alone; torchvision takes them whatever
    they overlap by. An anchor that is the best of several is the last one's; in torchvision it is that of the
    one that it overlaps most with.
    """

    def __init__(self, high: float = 0.7, low: float = 0.3, *, least_iou: float = 0.3) -> None:
        super().__init__(high, low, allow_low_quality_matches=True)
        self.least_iou = least_iou

    def set_low_quality_matches_(
        self,
        matches: Int64[Tensor, " N"],
        all_matches: Int64[Tensor, " N"],
        match_quality_matrix: Float[Tensor, "M N"],
    ) -> None:
        for instance, overlaps in enumerate(match_quality_matrix):
            most = overlaps.max()
            if most >= self.least_iou:
                matches[overlaps == most] = instance


class Sampled(NamedTuple):
    """Boxes of a picture to learn from."""

    boxes: Float[Tensor, "N 4"]
    labels: Int64[Tensor, " N"]
    """Class 1..K of each, 0 for the background."""
    instances: Int64[Tensor, " N"]
    """Which instance each is matched with; of the background, any."""
    deltas: Float[Tensor, "N 4"]
    """What the coder makes of each and its instance; of the background, anything."""
    annotated: Bool[Tensor, " N"]
    """Which are the boxes of the instances themselves, that stand among the proposals."""


def region_sampler(
    iou: float, coder: BoxCoder, *, num_boxes: int = 512, positive_share: float = 0.25
) -> Callable[[Float[Tensor, "N 4"], dict[str, Tensor]], Sampled]:
    """Return what samples, of a picture's proposals and instances' boxes, those to learn from.

    Args:
        iou: Intersection over union with an instance from which a box is of its class.
        coder: Of deltas.
        num_boxes: How many of a picture.
        positive_share: The most of them that are of a class.
    """
    match = Matcher(iou, iou, allow_low_quality_matches=False)
    choose = BalancedPositiveNegativeSampler(num_boxes, positive_share)

    def sample(proposals: Float[Tensor, "N 4"], target: dict[str, Tensor]) -> Sampled:
        truth = target["boxes"].to(proposals)
        boxes = torch.cat([proposals, truth])
        if len(truth):
            matched = match(box_iou(truth, boxes))
            labels = torch.where(matched >= 0, target["labels"][matched.clamp(min=0)], 0)
        else:  # all is background
            matched = labels = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
            truth = truth.new_zeros(1, 4)
        (positive,), (negative,) = choose([labels])
        (chosen,) = (positive | negative).nonzero(as_tuple=True)
        instances = matched[chosen].clamp(min=0)
        return Sampled(
            boxes=boxes[chosen],
            labels=labels[chosen],
            instances=instances,
            deltas=coder.encode_single(truth[instances], boxes[chosen]),
            annotated=chosen >= len(proposals),
        )

    return sample
