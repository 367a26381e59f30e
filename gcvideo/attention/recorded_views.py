"""Clips of videos pass a network, and the inputs of its context blocks are kept."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from rich.progress import track
from torch import Tensor

from gcvideo.attention.blocks import record_inputs
from gcvideo.blocks import ContextBlock
from gcvideo.clip import VideoRecord
from gcvideo.data import EvaluationViews, VideoDataModule
from gcvideo.data.dataset import collate
from gcvideo.data.decoding import DecodeError
from gcvideo.data.on_device import OnDevice
from gcvideo.training import VideoClassifier


class RecordedView(NamedTuple):
    """One view of a video, as the network saw it."""

    record: VideoRecord
    frames: UInt8[Tensor, "T H W 3"]
    clip: Float[Tensor, "1 3 T H W"]
    inputs: dict[str, Float[Tensor, "1 C T H W"]]
    """The input of every context block."""


class RecordedVideos:
    """Videos on their way through a network, one view at a time.

    A video that cannot be read is left out, and kept in `unreadable`. One shorter than a clip is seen as in
    training, its last frame held, and counted.

    Args:
        model: The network.
        data: Whose clips and whose normalisation the network knows.
        records: The videos.
        views: The views of each.
    """

    def __init__(
        self,
        model: VideoClassifier,
        data: VideoDataModule,
        records: Sequence[VideoRecord],
        views: EvaluationViews,
    ) -> None:
        self.model = model
        self.on_device = OnDevice(data, model.device)
        self.clip = data.clip
        self.unreadable: list[str] = []
        self.num_short = 0
        self.records = records
        self.dataset = data.evaluation_dataset(records, views)
        self.sample = self.dataset.clips
        self.dataset.clips = self._sample_and_count

    def _sample_and_count(self, video_frames: int) -> Int64[Tensor, "V T"]:
        self.num_short += video_frames < self.clip.span_in(video_frames)
        return self.sample(video_frames)

    def views(self, description: str, blocks: dict[str, ContextBlock]) -> Iterator[RecordedView]:
        """Yield every view of every video, under a progress bar."""
        for index, record in enumerate(
            track(self.records, description=description, disable=not self.records)
        ):
            try:
                batch = collate([self.dataset[0, index]], num_classes=self.dataset.num_classes)
            except DecodeError as error:
                self.unreadable.append(str(error))
                continue
            clips = self.on_device(batch).views[0]
            for frames, clip in zip(batch.frames[0], clips.split(1), strict=True):
                with torch.inference_mode(), record_inputs(blocks) as inputs:
                    self.model.network(clip)
                yield RecordedView(record, frames, clip, inputs)

    def notes(self) -> list[str]:
        """Return what must be said of the videos."""
        if not self.num_short:
            return []
        then = {"hold": "their last frame is held", "loop": "they begin again"}[self.clip.past_end]
        return [
            f"{self.num_short} of {len(self.records)} videos are shorter than a clip of {self.clip.span} "
            f"frames: {then}, as in training, which brings frames of one place closer."
        ]
