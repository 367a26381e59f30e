"""Pictures of one class each."""

from gcvideo.images.classification.classifier import ImageClassifier
from gcvideo.images.classification.folders import ImageFolderData
from gcvideo.images.classification.network import ClassificationNetwork

__all__ = ["ClassificationNetwork", "ImageClassifier", "ImageFolderData"]
