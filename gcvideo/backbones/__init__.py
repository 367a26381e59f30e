"""Residual video networks and the placement of context blocks in them."""

import gcvideo.kernels  # noqa: F401 (blocks use them from now on)
from gcvideo.backbones.families import CSN, R2Plus1D, SlowFast
from gcvideo.backbones.placement import (
    ContextResBlock,
    Placement,
    PlacementMapping,
    describe_placed,
    place,
    placed_blocks,
)
from gcvideo.backbones.protocols import Featured, Staged, shown_stages
from gcvideo.backbones.resnet import VideoResNet

__all__ = [
    "CSN",
    "ContextResBlock",
    "Featured",
    "Placement",
    "PlacementMapping",
    "R2Plus1D",
    "SlowFast",
    "Staged",
    "VideoResNet",
    "describe_placed",
    "place",
    "placed_blocks",
    "shown_stages",
]
