"""Small detectors, pictures and instances for them."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from gcvideo.images.detection.networks.mask_rcnn import PyramidRCNN


class SmallBackbone(nn.Module):
    """Four convolutions, of strides 4, 8, 16, 32."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.channels = {f"c{n}": width * (n - 1) for n in (2, 3, 4, 5)}
        widths = [3, *self.channels.values()]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=4 if before == 3 else 2, padding=1)
            for before, after in pairwise(widths)
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        found = {}
        for name, layer in zip(self.channels, self.layers, strict=True):
            images = layer(images).relu()
            found[name] = images
        return found


SMALL: dict[str, Any] = {"channels": 8, "hidden": 16, "min_size": 64, "max_size": 128}


def small(kind: type[PyramidRCNN], num_classes: int = 5, **others: Any) -> PyramidRCNN:
    """Return a small detector with weights that make boxes move and classes differ."""
    torch.manual_seed(0)
    network = kind(SmallBackbone(), num_classes, **{**SMALL, **others})
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("deltas.weight", "classes.weight", "cls_logits.weight", "bbox_pred.weight")):
                parameter.normal_(std=0.3)
    return network.eval()


def target(*boxes: tuple[float, float, float, float], height: int, width: int) -> dict[str, Tensor]:
    """Return instances that fill their boxes, of classes 1, 2, ..."""
    masks = torch.zeros(len(boxes), height, width, dtype=torch.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[round(top) : round(bottom), round(left) : round(right)] = 1
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.arange(1, len(boxes) + 1),
        "masks": masks,
    }
