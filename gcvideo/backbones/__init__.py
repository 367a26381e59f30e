"""Residual video networks and the placement of context blocks in them."""

import gcvideo.kernels  # noqa: F401 (blocks use them from now on)
from gcvideo.backbones.placement import ContextResBlock, Placement, describe_placed, place, placed_blocks
from gcvideo.backbones.protocols import Featured, Staged, shown_stages
from gcvideo.backbones.resnet import VideoResNet

__all__ = [
    "ContextResBlock",
    "Featured",
    "Placement",
    "Staged",
    "VideoResNet",
    "describe_placed",
    "place",
    "placed_blocks",
    "shown_stages",
]
