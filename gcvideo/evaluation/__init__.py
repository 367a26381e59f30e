"""From the logits of views to what is known about videos."""

from gcvideo.evaluation.metrics import video_metrics
from gcvideo.evaluation.predictions import PredictionTable
from gcvideo.evaluation.views import video_probabilities, view_logits

__all__ = ["PredictionTable", "video_metrics", "video_probabilities", "view_logits"]
