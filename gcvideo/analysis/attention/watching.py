"""Clips of videos pass a network, and the inputs of its context blocks are kept."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from lightning.pytorch.utilities import move_data_to_device
from rich.progress import track
from torch import Tensor

from gcvideo.analysis.attention.blocks import watch_inputs
from gcvideo.blocks import ContextBlock
from gcvideo.data import KineticsDataModule
from gcvideo.data.dataset import VideoDataset, collate
from gcvideo.data.decoding import DecodeError
from gcvideo.training import VideoClassifier


class WatchedView(NamedTuple):
    """One view of a video, as the network saw it."""

    video_id: str
    frames: UInt8[Tensor, "T H W 3"]
    clip: Float[Tensor, "1 3 T H W"]
    inputs: dict[str, Float[Tensor, "1 C T H W"]]
    """The input of every context block."""


class WatchedVideos:
    """The videos of a data set on their way through a network.

    Videos that cannot be read are left out, and named by `complain`. A video shorter than a clip is seen as
    in training, its last frame held; how many there are is noted.
    """

    def __init__(self, model: VideoClassifier, data: KineticsDataModule, dataset: VideoDataset) -> None:
        self.model = model
        self.dataset = dataset
        self.transform = data.device_transform(training=False).to(model.device)
        self.clip = data.clip
        self.num_short = 0
        self.unreadable: list[str] = []
        sample = dataset.clips

        def sample_and_count(video_frames: int) -> Int64[Tensor, "V T"]:
            self.num_short += video_frames < self.clip.span
            return sample(video_frames)

        dataset.clips = sample_and_count

    def views(self, description: str, blocks: dict[str, ContextBlock]) -> Iterator[WatchedView]:
        """Every view of every video, one at a time, under a progress bar."""
        for index in track(range(len(self.dataset)), description=description):
            try:
                batch = collate([self.dataset[0, index]])
            except DecodeError as error:
                self.unreadable.append(str(error))
                continue
            batch = move_data_to_device(batch, self.model.device)
            clips = self.transform(batch).views[0]
            for frames, clip in zip(batch.frames[0], clips.split(1), strict=True):
                with torch.inference_mode(), watch_inputs(blocks) as inputs:
                    self.model.network(clip)
                    yield WatchedView(batch.video_id[0], frames, clip, inputs)

    def notes(self) -> list[str]:
        """What must be said of the videos."""
        if not self.num_short:
            return []
        return [
            f"{self.num_short} of {len(self.dataset)} videos are shorter than a clip of {self.clip.span} "
            "frames: their last frame is held, as in training, which brings frames of one place closer."
        ]

    def complain(self) -> None:
        """Raise DecodeError if videos could not be read."""
        if self.unreadable:
            raise DecodeError(
                f"{len(self.unreadable)} of {len(self.dataset)} videos could not be read:\n  "
                + "\n  ".join(self.unreadable)
            )
