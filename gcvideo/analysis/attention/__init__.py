"""What context blocks attend to, and how much that depends on where one asks."""

from gcvideo.analysis.attention.blocks import choose_blocks, context_blocks, context_name, watch_inputs
from gcvideo.analysis.attention.cosine import cosine_distance
from gcvideo.analysis.attention.distances import ClipDistance, clip_distances
from gcvideo.analysis.attention.divergence import jensen_shannon, jensen_shannon_distance
from gcvideo.analysis.attention.pairs import Grid, PairMeans, Vectors
from gcvideo.analysis.attention.table import DistanceTable, as_in_the_paper, as_text, notes
from gcvideo.analysis.attention.watching import WatchedVideos, WatchedView

__all__ = [
    "ClipDistance",
    "DistanceTable",
    "Grid",
    "PairMeans",
    "Vectors",
    "WatchedVideos",
    "WatchedView",
    "as_in_the_paper",
    "as_text",
    "choose_blocks",
    "clip_distances",
    "context_blocks",
    "context_name",
    "cosine_distance",
    "jensen_shannon",
    "jensen_shannon_distance",
    "notes",
    "watch_inputs",
]
