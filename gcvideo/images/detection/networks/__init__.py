"""Mask R-CNN and Cascade Mask R-CNN on torchvision's parts, computing what mmdetection's do.

The paper's COCO tables are made with mmdetection. Where torchvision computes something else, one small class
here takes its place, and says so: anchors, coding of boxes, proposals, pooling of regions, losses, resizing
and pasting of masks.
"""

from gcvideo.images.detection.networks.mask_rcnn import CascadeMaskRCNN, MaskRCNN

__all__ = ["CascadeMaskRCNN", "MaskRCNN"]
