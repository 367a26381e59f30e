"""From the logits of views to what is known about videos."""

from gcvideo.evaluation.metrics import video_metrics
from gcvideo.evaluation.multi_label import multi_label_metrics
from gcvideo.evaluation.predictions import MultiLabelTable, PredictionTable
from gcvideo.evaluation.thresholds import Thresholds
from gcvideo.evaluation.views import video_probabilities, view_logits

__all__ = [
    "MultiLabelTable",
    "PredictionTable",
    "Thresholds",
    "multi_label_metrics",
    "video_metrics",
    "video_probabilities",
    "view_logits",
]
