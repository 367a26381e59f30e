"""From the logits of views to what is known about videos."""

from gcvideo.evaluation.predictions import PredictionTable
from gcvideo.evaluation.views import video_probabilities, view_logits

__all__ = ["PredictionTable", "video_probabilities", "view_logits"]
