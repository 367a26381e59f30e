"""Annotation rows to batches of clips."""

from gcvideo.data.augmentation import (
    Blending,
    FrameDropping,
    RandomErasing,
    RandomStrideClip,
    TimeReversal,
    TimmRandAugment,
)
from gcvideo.data.datamodule import VideoDataModule
from gcvideo.data.kinetics import KineticsDataModule
from gcvideo.data.lists.folds import Folds
from gcvideo.data.loading.train_order import ClassBalanced, ProgressivelyBalanced, SquareRoot, TrainOrder
from gcvideo.data.sampling import ClipFrames, SlidingClips
from gcvideo.data.transforms import AreaJitter, FrameTransform, ScaleJitter
from gcvideo.data.views import EvaluationViews

__all__ = [
    "AreaJitter",
    "Blending",
    "ClassBalanced",
    "ClipFrames",
    "EvaluationViews",
    "Folds",
    "FrameDropping",
    "FrameTransform",
    "KineticsDataModule",
    "ProgressivelyBalanced",
    "RandomErasing",
    "RandomStrideClip",
    "ScaleJitter",
    "SlidingClips",
    "SquareRoot",
    "TimeReversal",
    "TimmRandAugment",
    "TrainOrder",
    "VideoDataModule",
]
