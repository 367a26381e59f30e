"""Keep a run from losing or spoiling its work."""

from gcvideo.keeping.checkpoint_file import CheckpointFiles
from gcvideo.keeping.metrics_file import MetricsFile
from gcvideo.keeping.resuming import ExactResume
from gcvideo.keeping.safeguard import Safeguard

__all__ = ["CheckpointFiles", "ExactResume", "MetricsFile", "Safeguard"]
