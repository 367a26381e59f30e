"""Annotation rows to batches of clips."""

from gcvideo.data.datamodule import EvaluationViews, VideoDataModule
from gcvideo.data.kinetics import KineticsDataModule
from gcvideo.data.sampling import ClipFrames
from gcvideo.data.transforms import AreaJitter, FrameTransform, ScaleJitter

__all__ = [
    "AreaJitter",
    "ClipFrames",
    "EvaluationViews",
    "FrameTransform",
    "KineticsDataModule",
    "ScaleJitter",
    "VideoDataModule",
]
