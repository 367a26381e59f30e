"""Views of any videos, read ahead by other processes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jaxtyping import UInt8
from torch import Tensor

from gcvideo.clip import Span, Unreadable, VideoRecord
from gcvideo.data.datamodule import VideoDataModule
from gcvideo.data.dataset import EpochOrder, TimedVideoDataset
from gcvideo.data.loading.loader import VideoLoader
from gcvideo.data.views import EvaluationViews


class VideoViews(NamedTuple):
    """All views of one video: the crops of its first clip, of its second, and so on."""

    video: VideoRecord
    frames: UInt8[Tensor, "1 V T H W 3"]
    spans: Sequence[Span]
    """Of the clips, by the clock of the video."""


class UnreadableVideo(NamedTuple):
    """A video that could not be read, and why."""

    video: VideoRecord
    reason: str


def read_views(
    videos: Sequence[VideoRecord], data: VideoDataModule, views: EvaluationViews, *, num_workers: int
) -> Iterator[VideoViews | UnreadableVideo]:
    """Yield the videos in the order given; a decoder that hangs or dies costs one process, not the run.

    Args:
        videos: The videos, or segments.
        data: What tells their clips, and how long one may take.
        views: The views of a video.
        num_workers: Processes that read; 0 reads in this one.
    """
    dataset = data.evaluation_dataset(videos, views)
    loader = VideoLoader(
        TimedVideoDataset(videos, clips=dataset.clips, crops=dataset.crops, backend=data.open_any),
        order=EpochOrder(len(videos), shuffle=False, even=False, seed=0, rank=0, num_processes=1),
        batch_size=1,
        drop_last=False,
        num_workers=min(num_workers, len(videos)),
        timeout_seconds=data.timeout_seconds,
        unreadable=_PassOn(),
    )
    for video, batch in zip(videos, loader, strict=True):
        if batch.unreadable:
            yield UnreadableVideo(video, batch.unreadable[0].reason)
        else:
            yield VideoViews(video, batch.frames, batch.spans[0])


class _PassOn:
    """Leaves unreadable videos to whoever reads the batches."""

    def handle(self, videos: Sequence[Unreadable], *, epoch: int) -> None:
        pass
