"""Training, validation and test of a video classifier."""

from gcvideo.training.classifier import VideoClassifier
from gcvideo.training.optimisation import HalfCosine, StepDecay

__all__ = ["HalfCosine", "StepDecay", "VideoClassifier"]
