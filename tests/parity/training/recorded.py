"""What `gcvideo fit` has before its first step and after every one, for another trainer to be held to."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from gcvideo.clip import ViewBatch


class Recorded(NamedTuple):
    """A step of one process."""

    videos: list[str]
    views: Tensor
    """As the network got them, [B 3 T H W]."""
    labels: Tensor
    seed: int
    """Of the draws of dropout."""
    rate: float
    loss: float
    state: dict[str, Tensor]
    """Weights and buffers after it."""


class Recorder(Callback):
    """Writes a file for every step of every process, and draws the dropout of each from a seed of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_start(self, trainer: Trainer, pl_module) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.save(pl_module.network.state_dict(), file_of(self.folder, trainer.global_rank, 0))

    def on_train_batch_start(self, trainer: Trainer, pl_module, batch: ViewBatch, batch_idx) -> None:
        self.seed = 2 * trainer.global_step + trainer.global_rank
        torch.manual_seed(self.seed)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module, optimizer) -> None:
        rates = {group["lr"] for group in optimizer.param_groups}
        (self.rate,) = rates

    def on_train_batch_end(self, trainer: Trainer, pl_module, outputs, batch: ViewBatch, batch_idx) -> None:
        step = Recorded(
            batch.video_id,
            batch.views.flatten(0, 1),
            batch.target,
            self.seed,
            self.rate,
            float(outputs["loss"]),
            pl_module.network.state_dict(),
        )
        torch.save(step._asdict(), file_of(self.folder, trainer.global_rank, trainer.global_step))


def file_of(folder: Path, rank: int, step: int) -> Path:
    return folder / f"{rank}.{step}.pt"


def initial_state(folder: Path) -> dict[str, Tensor]:
    return torch.load(file_of(folder, 0, 0), weights_only=True)


def steps(folder: Path, *, num_processes: int) -> Iterator[list[Recorded]]:
    """What all processes did in each step."""
    number = 1
    while (file := file_of(folder, 0, number)).exists():
        ranks = [file_of(folder, rank, number) for rank in range(num_processes)]
        assert ranks[0] == file
        yield [Recorded(**torch.load(rank, weights_only=True)) for rank in ranks]
        number += 1
