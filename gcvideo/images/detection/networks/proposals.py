"""Proposals: boxes that are likely to hold something."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import clip_boxes_to_image

from gcvideo.images.detection.networks.anchors import RATIOS, PyramidAnchors
from gcvideo.images.detection.networks.boxes import CentredBoxCoder, suppress
from gcvideo.images.detection.networks.losses import BoxLoss
from gcvideo.images.detection.networks.matching import AnchorMatcher

NUM_PER_MAP = {"training": 2000, "testing": 1000}
"""Of the likeliest anchors of a map, those that are decoded."""


class PyramidProposals(RegionProposalNetwork):
    """A region proposal network (Ren et al., arXiv:1506.01497) on the maps of a pyramid.

    Where it is not torchvision's: the likeliest anchors are chosen by probability and not by logit, boxes are
    kept that are not empty (torchvision: from 0.001 pixels), suppression is that of `suppress`, the deltas of
    boxes are trained by `box_loss` (torchvision: smooth L1 of beta 1/9), and matched by AnchorMatcher.

    Args:
        channels: Of the maps.
        strides: Pixels to a cell of every map.
        anchor_scale: Side of an anchor over the stride.
        num_training: Proposals of a picture in training; 1000 for Mask R-CNN, 2000 for a cascade.
        box_loss: Of deltas.
    """

    def __init__(
        self,
        channels: int,
        *,
        strides: tuple[int, ...],
        anchor_scale: float,
        num_training: int,
        box_loss: BoxLoss,
    ) -> None:
        super().__init__(
            PyramidAnchors(strides, scale=anchor_scale),
            RPNHead(channels, len(RATIOS)),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n=NUM_PER_MAP,
            post_nms_top_n={"training": num_training, "testing": 1000},
            nms_thresh=0.7,
        )
        self.box_coder = CentredBoxCoder((1.0, 1.0, 1.0, 1.0))
        self.proposal_matcher = AnchorMatcher(0.7, 0.3, least_iou=0.3)
        self.box_loss = box_loss

    def filter_proposals(
        self,
        proposals: Float[Tensor, "B N 4"],
        objectness: Float[Tensor, "BN 1"],
        image_shapes: Sequence[tuple[int, int]],
        num_anchors_per_level: Sequence[int],
    ) -> tuple[list[Float[Tensor, "_ 4"]], list[Float[Tensor, " _"]]]:
        """Return the proposals of every picture and their probabilities, the likeliest first."""
        scores = objectness.detach().float().sigmoid().reshape(len(proposals), -1)
        found = [
            self.of_picture(boxes, likely, shape, num_anchors_per_level)
            for boxes, likely, shape in zip(proposals, scores, image_shapes, strict=True)
        ]
        return [boxes for boxes, _ in found], [likely for _, likely in found]

    def of_picture(
        self,
        boxes: Float[Tensor, "N 4"],
        scores: Float[Tensor, " N"],
        shape: tuple[int, int],
        num_of_maps: Sequence[int],
    ) -> tuple[Float[Tensor, "M 4"], Float[Tensor, " M"]]:
        """Return the proposals of a picture of this height and width, and their probabilities."""
        # The likeliest of every map
        begins = torch.tensor([0, *num_of_maps]).cumsum(0)[:-1].tolist()
        best = [
            begin + self.likeliest(of_map)
            for begin, of_map in zip(begins, scores.split(list(num_of_maps)), strict=True)
        ]
        levels = torch.cat([torch.full_like(indices, level) for level, indices in enumerate(best)])
        chosen = torch.cat(best)
        # What of them is in the picture
        boxes, scores = clip_boxes_to_image(boxes[chosen], shape), scores[chosen]
        (filled,) = (boxes[:, 2:] > boxes[:, :2]).all(dim=1).nonzero(as_tuple=True)
        boxes, scores, levels = boxes[filled], scores[filled], levels[filled]
        kept = suppress(boxes, scores, levels, iou=self.nms_thresh)[: self.post_nms_top_n()]
        return boxes[kept], scores[kept]

    def likeliest(self, scores: Float[Tensor, " N"]) -> Tensor:
        """Return which anchors of a map are decoded."""
        if len(scores) <= self.pre_nms_top_n():
            return torch.arange(len(scores), device=scores.device)
        return scores.sort(descending=True).indices[: self.pre_nms_top_n()]

    def compute_loss(
        self,
        objectness: Float[Tensor, "BN 1"],
        pred_bbox_deltas: Float[Tensor, "BN 4"],
        labels: Sequence[Float[Tensor, " N"]],
        regression_targets: Sequence[Float[Tensor, "N 4"]],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Return binary cross-entropy and loss of deltas, both over the anchors that were sampled."""
        positive, negative = (torch.cat(chosen).bool() for chosen in self.fg_bg_sampler(list(labels)))
        sampled = positive | negative
        count = max(int(sampled.sum()), 1)
        wanted, is_object = torch.cat(list(regression_targets)), torch.cat(list(labels))
        logits = objectness.flatten()
        of_objects = F.binary_cross_entropy_with_logits(logits[sampled], is_object[sampled], reduction="sum")
        return of_objects / count, self.box_loss(pred_bbox_deltas[positive], wanted[positive]) / count
