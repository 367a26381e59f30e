"""Annotation rows to batches of clips."""

from gcvideo.data.datamodule import EvaluationViews, VideoDataModule
from gcvideo.data.sampling import ClipFrames
from gcvideo.data.transforms import AreaJitter, ScaleJitter

__all__ = ["AreaJitter", "ClipFrames", "EvaluationViews", "ScaleJitter", "VideoDataModule"]
