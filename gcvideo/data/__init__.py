"""Annotation rows to batches of clips."""

from gcvideo.data.augmentation import FrameDropping, RandomStrideClip, TimeReversal, TimmRandAugment
from gcvideo.data.datamodule import VideoDataModule
from gcvideo.data.kinetics import KineticsDataModule
from gcvideo.data.sampling import ClipFrames
from gcvideo.data.transforms import AreaJitter, FrameTransform, ScaleJitter
from gcvideo.data.views import EvaluationViews

__all__ = [
    "AreaJitter",
    "ClipFrames",
    "EvaluationViews",
    "FrameDropping",
    "FrameTransform",
    "KineticsDataModule",
    "RandomStrideClip",
    "ScaleJitter",
    "TimeReversal",
    "TimmRandAugment",
    "VideoDataModule",
]
