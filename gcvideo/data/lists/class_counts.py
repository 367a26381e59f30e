"""How many videos have each class."""

from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

from gcvideo.clip import VideoRecord
from gcvideo.data.lists.records import VideoRecords


def class_counts(records: Sequence[VideoRecord], *, num_classes: int) -> Int64[Tensor, " K"]:
    """Return how many of the videos have each class; a video of several counts in each."""
    if isinstance(records, VideoRecords):
        return records.label.bincount(minlength=num_classes)
    labels = [torch.tensor(record.label, dtype=torch.int64).flatten() for record in records]
    return torch.cat(labels).bincount(minlength=num_classes)
