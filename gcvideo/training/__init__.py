"""Training, validation and test of a video classifier."""

from gcvideo.training.activation_checkpointing import ActivationCheckpointing
from gcvideo.training.classifier import VideoClassifier
from gcvideo.training.compilation import CompileNetwork
from gcvideo.training.finetuning import FreezeStages
from gcvideo.training.optimisation import NesterovSGD
from gcvideo.training.precise_bn import PreciseBatchNorm
from gcvideo.training.schedules import (
    Constant,
    CosineAfterWarmup,
    HalfCosine,
    LinearDecay,
    OneCycle,
    Schedule,
    StepDecay,
)

__all__ = [
    "ActivationCheckpointing",
    "CompileNetwork",
    "Constant",
    "CosineAfterWarmup",
    "FreezeStages",
    "HalfCosine",
    "LinearDecay",
    "NesterovSGD",
    "OneCycle",
    "PreciseBatchNorm",
    "Schedule",
    "StepDecay",
    "VideoClassifier",
]
