"""A class for every pixel of a picture."""

from gcvideo.images.segmentation.folders import MaskFolderData
from gcvideo.images.segmentation.network import DensePrediction
from gcvideo.images.segmentation.segmenter import Segmenter

__all__ = ["DensePrediction", "MaskFolderData", "Segmenter"]
