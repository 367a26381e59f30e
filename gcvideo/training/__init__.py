"""Training, validation and test of a video classifier."""

from gcvideo.training.activation_checkpointing import ActivationCheckpointing
from gcvideo.training.checkpoint_file import CheckpointFiles
from gcvideo.training.classifier import VideoClassifier
from gcvideo.training.compilation import CompileNetwork
from gcvideo.training.finetuning import FreezeStages
from gcvideo.training.metrics_file import MetricsFile
from gcvideo.training.optimisation import HalfCosine, StepDecay
from gcvideo.training.precise_bn import PreciseBatchNorm
from gcvideo.training.resuming import ExactResume
from gcvideo.training.safeguard import Safeguard

__all__ = [
    "ActivationCheckpointing",
    "CheckpointFiles",
    "CompileNetwork",
    "ExactResume",
    "FreezeStages",
    "HalfCosine",
    "MetricsFile",
    "PreciseBatchNorm",
    "Safeguard",
    "StepDecay",
    "VideoClassifier",
]
