"""Multiply-adds of detectors by part, without computing anything: on torch's meta device."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gcvideo.images.detection.networks.heads import BOX_SIZE, MASK_SIZE
from gcvideo.images.detection.networks.mask_rcnn import PyramidRCNN
from gcvideo.images.detection.networks.pyramid import PyramidBackbone
from gcvideo.images.detection.networks.regions import RegionHeads

META = torch.device("meta")


def multiply_adds(module: nn.Module, *inputs: Any) -> tuple[int, Any]:
    """Return the multiply-adds of one forward pass, and what it returns.

    They are those of convolutions, deformable ones too, and matrix products, as the papers of the field count
    them; torch counts two operations for each.
    """
    deformable = {torch.ops.torchvision.deform_conv2d: _of_deformable_convolution}
    with torch.inference_mode(), FlopCounterMode(display=False, custom_mapping=deformable) as counter:
        returned = module(*inputs)
    return counter.get_total_flops() // 2, returned


def _of_deformable_convolution(
    input: object, weight: torch.Size, *others: object, out_shape: torch.Size, **settings: object
) -> int:
    """Count as of a convolution, two operations to a multiply-add; the interpolation is not counted.

    Its arguments are shapes.
    """
    batch, channels, height, width = out_shape
    return 2 * batch * channels * height * width * weight[1:].numel()


def by_part(
    network: PyramidRCNN, *, size: tuple[int, int], num_boxes: int, num_masks: int
) -> Mapping[str, int]:
    """Return the multiply-adds of a detector on one picture, by part.

    Args:
        network: On the meta device, in evaluation.
        size: Height and width of the padded picture, in pixels.
        num_boxes: Proposals of the picture, which every stage classifies.
        num_masks: Boxes whose masks every stage predicts.
    """
    picture = torch.zeros(1, 3, *size, device=META)
    trunk: PyramidBackbone = network.backbone  # pyright: ignore[reportAssignmentType]
    heads: RegionHeads = network.roi_heads  # pyright: ignore[reportAssignmentType]
    channels = trunk.out_channels
    backbone, maps = multiply_adds(trunk.body, picture)
    pyramid, maps = multiply_adds(trunk.fpn, maps)
    proposals, _ = multiply_adds(network.rpn.get_submodule("head"), [*maps.values()])
    boxes = regions(num_boxes, channels, BOX_SIZE)
    masks = regions(num_masks, channels, MASK_SIZE)
    stages = [*heads.stages]
    return {
        "backbone": backbone,
        "FPN": pyramid,
        "RPN": proposals,
        "boxes": sum(multiply_adds(stage.get_submodule("box_head"), boxes)[0] for stage in stages),
        "masks": sum(multiply_adds(stage.get_submodule("mask_head"), masks)[0] for stage in stages),
    }


def regions(number: int, channels: int, side: int) -> Tensor:
    """Return pooled regions [N C side side]."""
    return torch.zeros(number, channels, side, side, device=META)
