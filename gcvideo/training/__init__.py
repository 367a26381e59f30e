"""Training, validation and test of a video classifier."""

from gcvideo.training.activation_checkpointing import ActivationCheckpointing
from gcvideo.training.averaging import SWAWeightAveraging
from gcvideo.training.batch_norm import BatchNormOver, FrozenBatchNorm
from gcvideo.training.classifier import VideoClassifier
from gcvideo.training.compilation import CompileNetwork
from gcvideo.training.cross_entropy import CrossEntropy
from gcvideo.training.distillation import BinaryDistillation, Distillation
from gcvideo.training.finetuning import FreezeStages
from gcvideo.training.losses import AsymmetricLoss, BinaryCrossEntropy, FocalLoss
from gcvideo.training.optimisation import NesterovSGD
from gcvideo.training.pictures import LogPictures
from gcvideo.training.precise_bn import PreciseBatchNorm
from gcvideo.training.schedules import (
    Constant,
    CosineAfterWarmup,
    HalfCosine,
    LinearDecay,
    OneCycle,
    Schedule,
    StepDecay,
    ThenConstant,
)

__all__ = [
    "ActivationCheckpointing",
    "AsymmetricLoss",
    "BatchNormOver",
    "BinaryCrossEntropy",
    "BinaryDistillation",
    "CompileNetwork",
    "Constant",
    "CosineAfterWarmup",
    "CrossEntropy",
    "Distillation",
    "FocalLoss",
    "FreezeStages",
    "FrozenBatchNorm",
    "HalfCosine",
    "LinearDecay",
    "LogPictures",
    "NesterovSGD",
    "OneCycle",
    "PreciseBatchNorm",
    "SWAWeightAveraging",
    "Schedule",
    "StepDecay",
    "ThenConstant",
    "VideoClassifier",
]
