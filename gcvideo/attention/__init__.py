"""What context blocks attend to, and how much that depends on where one asks."""

from gcvideo.attention.blocks import choose_blocks, context_blocks, context_name, record_inputs
from gcvideo.attention.cosine import cosine_distance
from gcvideo.attention.distances import ClipDistance, clip_distances
from gcvideo.attention.divergence import jensen_shannon, jensen_shannon_distance
from gcvideo.attention.drawing import Drawing
from gcvideo.attention.gradcam import grad_cam_layers, stage_of
from gcvideo.attention.maps import (
    TWO_FRAMES_BY_TWO_PLACES,
    Layer,
    Layers,
    Query,
    attention_layers,
    channel_weights,
    has_map,
    over_frames,
)
from gcvideo.attention.pairs import Grid, PairMeans, Vectors
from gcvideo.attention.plots import plot_block, plot_network
from gcvideo.attention.recorded_views import RecordedVideos, RecordedView
from gcvideo.attention.table import DistanceTable, as_in_the_paper, as_markdown, as_text, notes

__all__ = [
    "TWO_FRAMES_BY_TWO_PLACES",
    "ClipDistance",
    "DistanceTable",
    "Drawing",
    "Grid",
    "Layer",
    "Layers",
    "PairMeans",
    "Query",
    "RecordedVideos",
    "RecordedView",
    "Vectors",
    "as_in_the_paper",
    "as_markdown",
    "as_text",
    "attention_layers",
    "channel_weights",
    "choose_blocks",
    "clip_distances",
    "context_blocks",
    "context_name",
    "cosine_distance",
    "grad_cam_layers",
    "has_map",
    "jensen_shannon",
    "jensen_shannon_distance",
    "notes",
    "over_frames",
    "plot_block",
    "plot_network",
    "record_inputs",
    "stage_of",
]
