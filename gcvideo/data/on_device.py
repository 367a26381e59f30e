"""From what a loader gives to what a network reads, outside a Trainer: moved to its device and normalised."""

import torch
from jaxtyping import Float, UInt8
from lightning.pytorch.utilities import move_data_to_device
from torch import Tensor

from gcvideo.clip import ClipBatch, ViewBatch
from gcvideo.data.datamodule import VideoDataModule


class OnDevice:
    """The step between loader and network, as a Trainer makes it by the data module's hooks.

    Args:
        data: What tells the normalisation and, for training, how clips are blended.
        device: Where the network is.
        training: Whether the network is to learn from the batches.
    """

    def __init__(self, data: VideoDataModule, device: torch.device, *, training: bool = False) -> None:
        self.device = device
        self.transform = data.device_transform(training=training).to(device)

    def __call__(self, batch: ClipBatch) -> ViewBatch:
        """Return the batch as the network reads it."""
        return self.transform(move_data_to_device(batch, self.device))

    def views(self, frames: UInt8[Tensor, "B V T H W 3"]) -> Float[Tensor, "B V 3 T H W"]:
        """Return views that have no label as the network reads them."""
        unlabelled = torch.zeros(len(frames), dtype=torch.long)
        return self(ClipBatch(frames, unlabelled, [""] * len(frames))).views
