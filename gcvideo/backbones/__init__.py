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
from gcvideo.backbones.protocols import Featured, Headed, Staged, network_for, require_clip, shown_stages
from gcvideo.backbones.resnet import FrameDifferenceResNet, VideoResNet
from gcvideo.backbones.torchvision_networks import S3D, TorchvisionResNet
from gcvideo.backbones.transformers import MViT, Swin3D
from gcvideo.backbones.x3d import X3D

__all__ = [
    "CSN",
    "S3D",
    "X3D",
    "ContextResBlock",
    "Featured",
    "FrameDifferenceResNet",
    "Headed",
    "MViT",
    "Placement",
    "PlacementMapping",
    "R2Plus1D",
    "SlowFast",
    "Staged",
    "Swin3D",
    "TorchvisionResNet",
    "VideoResNet",
    "describe_placed",
    "network_for",
    "place",
    "placed_blocks",
    "require_clip",
    "shown_stages",
]
