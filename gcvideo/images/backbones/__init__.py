"""Residual networks of pictures whose blocks may carry context blocks, and deformable convolutions."""

from gcvideo.images.backbones.deformable import DeformableConv
from gcvideo.images.backbones.placement import ImagePlacement
from gcvideo.images.backbones.resnet import ContextResNet

__all__ = ["ContextResNet", "DeformableConv", "ImagePlacement"]
