"""Residual video networks and the placement of context blocks in them."""

import gcvideo.kernels  # noqa: F401 (blocks use them from now on)
from gcvideo.backbones.placement import ContextResBlock, Placement, place
from gcvideo.backbones.resnet import VideoResNet

__all__ = ["ContextResBlock", "Placement", "VideoResNet", "place"]
