"""Weights of other codebases, and ours in other places: read safely, renamed, inflated, loaded exactly."""

from gcvideo.backbones.checkpoints.files import Checkpoint, read_checkpoint, write_state
from gcvideo.backbones.checkpoints.inflation import inflate
from gcvideo.backbones.checkpoints.loading import Weights, load_exactly, load_weights
from gcvideo.backbones.checkpoints.namings import NAMINGS
from gcvideo.backbones.checkpoints.prefixes import find_network
from gcvideo.backbones.checkpoints.recognition import Recognised, recognise
from gcvideo.backbones.checkpoints.renaming import read_naming, write_naming

__all__ = [
    "NAMINGS",
    "Checkpoint",
    "Recognised",
    "Weights",
    "find_network",
    "inflate",
    "load_exactly",
    "load_weights",
    "read_checkpoint",
    "read_naming",
    "recognise",
    "write_naming",
    "write_state",
]
