"""Views of any videos, read ahead by other processes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxtyping import UInt8
from torch import Tensor

from gcvideo.clip import Span, Unreadable, VideoRecord
from gcvideo.data.datamodule import VideoDataModule
from gcvideo.data.dataset import EpochOrder, TimedVideoDataset
from gcvideo.data.loader import VideoLoader
from gcvideo.data.views import EvaluationViews


class VideoViews(NamedTuple):
    """All views of one video: the crops of its first clip, of its second, and so on."""

    path: Path
    frames: UInt8[Tensor, "1 V T H W 3"]
    spans: Sequence[Span]
    """Of the clips."""


class UnreadableVideo(NamedTuple):
    """A video that could not be read, and why."""

    path: Path
    reason: str


def read_views(
    paths: Sequence[Path], data: VideoDataModule, views: EvaluationViews, *, num_workers: int
) -> Iterator[VideoViews | UnreadableVideo]:
    """Yield the videos in the order given; a decoder that hangs or dies costs one process, not the run.

    Args:
        paths: The videos.
        data: What tells their clips, and how long one may take.
        views: The views of a video.
        num_workers: Processes that read; 0 reads in this one.
    """
    records = [VideoRecord(path, 0, str(path)) for path in paths]
    dataset = data.evaluation_dataset(records, views)
    loader = VideoLoader(
        TimedVideoDataset(records, clips=dataset.clips, crops=dataset.crops, backend=data.open_any),
        order=EpochOrder(len(records), shuffle=False, even=False, seed=0, rank=0, num_processes=1),
        batch_size=1,
        drop_last=False,
        num_workers=min(num_workers, len(records)),
        timeout_seconds=data.timeout_seconds,
        unreadable=_PassOn(),
    )
    for path, batch in zip(paths, loader, strict=True):
        if batch.unreadable:
            yield UnreadableVideo(path, batch.unreadable[0].reason)
        else:
            yield VideoViews(path, batch.frames, batch.spans[0])


class _PassOn:
    """Leaves unreadable videos to whoever reads the batches."""

    def handle(self, videos: Sequence[Unreadable], *, epoch: int) -> None:
        pass
