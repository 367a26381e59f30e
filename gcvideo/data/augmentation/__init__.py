"""What makes another clip of the same class; torchvision's transforms are used as they are."""

from gcvideo.data.augmentation.blending import Blend, BlendClips, Blending, BlendSometimes, ChosenBlend
from gcvideo.data.augmentation.clips import ClipAugmentation
from gcvideo.data.augmentation.erasing import RandomErasing
from gcvideo.data.augmentation.rand_augment import TimmRandAugment
from gcvideo.data.augmentation.temporal import FrameDropping, RandomStrideClip, TimeReversal

__all__ = [
    "Blend",
    "BlendClips",
    "BlendSometimes",
    "Blending",
    "ChosenBlend",
    "ClipAugmentation",
    "FrameDropping",
    "RandomErasing",
    "RandomStrideClip",
    "TimeReversal",
    "TimmRandAugment",
]
