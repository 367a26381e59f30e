"""From proposals to instances, in one stage or several."""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image

from gcvideo.images.detection.networks.boxes import CentredBoxCoder, Spread, suppress
from gcvideo.images.detection.networks.heads import BOX_SIZE, MASK_SIZE, BoxHead, MaskHead
from gcvideo.images.detection.networks.losses import (
    BoxLoss,
    mask_loss,
    mask_targets,
    picture_by_picture,
    region_losses,
)
from gcvideo.images.detection.networks.matching import Sampled, region_sampler
from gcvideo.images.detection.networks.pooling import RegionPool

Maps = Mapping[str, Float[Tensor, "B C _ _"]]
Boxes = Sequence[Float[Tensor, "_ 4"]]
Shapes = Sequence[tuple[int, int]]
"""Heights and widths of pictures, without their padding."""


class Stage(nn.Module):
    """Heads for boxes and masks, and what they learn from.

    Args:
        box_head: Logits and deltas of pooled regions.
        mask_head: Logits of masks.
        spread: Standard deviations of the deltas.
        iou: Intersection over union with an instance from which a proposal is of its class.
        weight: Of the losses.
        box_loss: Of deltas.
    """

    def __init__(
        self,
        box_head: BoxHead,
        mask_head: MaskHead,
        *,
        spread: Spread,
        iou: float,
        weight: float,
        box_loss: BoxLoss,
    ) -> None:
        super().__init__()
        self.box_head = box_head
        self.mask_head = mask_head
        self.coder = CentredBoxCoder(spread)
        self.sample: Callable[..., Sampled] = region_sampler(iou, self.coder)
        self.weight = weight
        self.box_loss = box_loss

    def decode(
        self, deltas: Float[Tensor, "N R 4"], boxes: Boxes, shapes: Shapes
    ) -> list[Float[Tensor, "_ R 4"]]:
        """Return the R boxes of each, within their pictures."""
        decoded = self.coder.decode_single(deltas.flatten(1), torch.cat(list(boxes))).unflatten(1, (-1, 4))
        of_pictures = decoded.split([len(box) for box in boxes])
        return [clip_boxes_to_image(found, shape) for found, shape in zip(of_pictures, shapes, strict=True)]


class RegionHeads(nn.Module):
    """Stages, each on the boxes of the one before (Cai and Vasconcelos, arXiv:1712.00726).

    Mask R-CNN is one stage, whose boxes may differ by class; in a cascade all classes share one. Scores are
    the softmax of the mean of all stages' logits, boxes those of the last stage, and masks the mean of all
    stages' probabilities on the final boxes. torchvision has no cascade.

    Args:
        stages: The stages.
        strides: Pixels to a cell of the maps that are pooled, the finest first.
        least_score: The score above which a box is a detection.
        iou: Intersection over union above which the less likely of two boxes of a class is suppressed.
        most: Detections of a picture.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        strides: Sequence[int],
        least_score: float = 0.05,
        iou: float = 0.5,
        most: int = 100,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.box_pool = RegionPool(strides, size=BOX_SIZE)
        self.mask_pool = RegionPool(strides, size=MASK_SIZE)
        self.least_score = least_score
        self.iou = iou
        self.most = most

    def forward(
        self,
        features: Maps,
        proposals: Boxes,
        image_shapes: Shapes,
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Return detections and no losses, or in training no detections and the losses."""
        if self.training:
            assert targets is not None  # which GeneralizedRCNN asks for
            return [], self.losses(features, proposals, image_shapes, targets)
        return self.detect(features, proposals, image_shapes), {}

    def detect(self, features: Maps, proposals: Boxes, shapes: Shapes) -> list[dict[str, Tensor]]:
        """Return boxes, labels 1..K, scores and masks [N 1 m m], probabilities within boxes, of pictures."""
        boxes, all_logits, candidates = proposals, [], []
        for number, stage in enumerate(self.stages):
            assert isinstance(stage, Stage)
            boxes = boxes if number == 0 else [of_picture[:, 0] for of_picture in candidates]
            logits, deltas = stage.box_head(self.box_pool(features, boxes))
            all_logits.append(logits)
            candidates = stage.decode(deltas, boxes, shapes)
        scores = _mean(all_logits).softmax(dim=1).split([len(box) for box in boxes])
        found = [self.of_picture(*both) for both in zip(candidates, scores, strict=True)]
        masks = self.masks(features, [one["boxes"] for one in found], [one["labels"] for one in found])
        return [{**one, "masks": of_picture} for one, of_picture in zip(found, masks, strict=True)]

    def of_picture(self, boxes: Float[Tensor, "N R 4"], scores: Float[Tensor, "N K1"]) -> dict[str, Tensor]:
        """Return the detections of a picture among its boxes, the likeliest first."""
        of_classes = scores[:, 1:]
        which, label = (of_classes > self.least_score).nonzero(as_tuple=True)
        likely = of_classes[which, label]
        chosen = boxes[which, label if boxes.shape[1] > 1 else torch.zeros_like(label)]
        kept = suppress(chosen, likely, label, iou=self.iou)[: self.most]
        return {"boxes": chosen[kept], "labels": label[kept] + 1, "scores": likely[kept]}

    def masks(self, features: Maps, boxes: Boxes, labels: Sequence[Tensor]) -> list[Float[Tensor, "_ 1 m m"]]:
        """Return probabilities of the cells of the boxes, for the labels' classes."""
        pooled = self.mask_pool(features, boxes)
        of_stages = [stage.mask_head(pooled).sigmoid() for stage in self.stages]  # pyright: ignore[reportCallIssue]
        label = torch.cat(list(labels))
        own = torch.stack(of_stages).mean(dim=0)[torch.arange(len(label), device=label.device), label - 1]
        return list(own[:, None].split([len(one) for one in labels]))

    def losses(
        self, features: Maps, proposals: Boxes, shapes: Shapes, targets: list[dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Return loss_classifier, loss_box_reg and loss_mask; of several stages each, behind their number."""
        losses: dict[str, Tensor] = {}
        for number, stage in enumerate(self.stages):
            assert isinstance(stage, Stage)
            sampled = [stage.sample(*both) for both in zip(proposals, targets, strict=True)]
            boxes = [of_picture.boxes for of_picture in sampled]
            logits, deltas = stage.box_head(self.box_pool(features, boxes))
            labels, wanted = picture_by_picture([s.labels for s in sampled], [s.deltas for s in sampled])
            classes, moved = region_losses(
                logits, deltas, labels=labels, wanted=wanted, box_loss=stage.box_loss
            )
            found = {"loss_classifier": classes, "loss_box_reg": moved}
            found["loss_mask"] = self.loss_of_masks(stage, features, sampled, targets)
            named = f"_{number + 1}" if len(self.stages) > 1 else ""
            losses |= {f"{name}{named}": stage.weight * loss for name, loss in found.items()}
            if number + 1 < len(self.stages):
                # Annotated boxes are given to every stage anew.
                decoded = stage.decode(deltas.detach(), boxes, shapes)
                proposals = [
                    of_picture[~s.annotated, 0] for of_picture, s in zip(decoded, sampled, strict=True)
                ]
        return losses

    def loss_of_masks(
        self, stage: Stage, features: Maps, sampled: Sequence[Sampled], targets: list[dict[str, Tensor]]
    ) -> Float[Tensor, ""]:
        """Return the loss of the masks of boxes that are of a class."""
        positive = [s.labels > 0 for s in sampled]
        boxes = [s.boxes[chosen] for s, chosen in zip(sampled, positive, strict=True)]
        logits = stage.mask_head(self.mask_pool(features, boxes))
        wanted = [
            mask_targets(target["masks"], box, s.instances[chosen], size=2 * MASK_SIZE)
            for target, box, s, chosen in zip(targets, boxes, sampled, positive, strict=True)
        ]
        labels = [s.labels[chosen] for s, chosen in zip(sampled, positive, strict=True)]
        return mask_loss(logits, labels=torch.cat(labels), wanted=torch.cat(wanted))


def _mean(logits: Sequence[Float[Tensor, "N K1"]]) -> Float[Tensor, "N K1"]:
    """Return the mean over stages, added in their order."""
    total = logits[0]
    for more in logits[1:]:
        total = total + more
    return total / len(logits)
