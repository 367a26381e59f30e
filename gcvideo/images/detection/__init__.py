"""Instances in pictures: boxes, classes and masks."""

from gcvideo.images.detection.data import CocoData
from gcvideo.images.detection.detector import Detector

__all__ = ["CocoData", "Detector"]
