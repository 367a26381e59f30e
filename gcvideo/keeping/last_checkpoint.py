"""Write the checkpoint that a stopped run goes on from."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from gcvideo.keeping.consensus import Consensus
from gcvideo.run_folder import RunFolder


class LastCheckpoint(Checkpoint):
    """Write last.ckpt every so often, before every validation and after every epoch.

    A process killed at any moment loses that much at most.

    Args:
        consensus: Where the ranks agree that it is time.
        every_seconds: Seconds of training between two checkpoints.
        every_steps: Optimizer steps between two checkpoints; every_seconds is not used then.
        writes: Whether checkpoints are written at all.
    """

    def __init__(
        self, consensus: Consensus, *, every_seconds: float, every_steps: int | None, writes: bool
    ) -> None:
        self.every_seconds = every_seconds
        self.every_steps = every_steps
        self.writes = writes
        self.step = 0
        self._written_at = 0.0
        self._due = consensus.add(lambda trainer, _: self._is_due(trainer.global_step + 1))

    def described(self, and_then: str = "") -> str:
        """Say which step it is of."""
        if not self.writes:
            return "this run writes no checkpoint"
        return f"the last checkpoint is of step {self.step}{and_then}"

    def write(self, trainer: Trainer) -> None:
        """Write it now, on all ranks."""
        self._due.anywhere = False
        if not self.writes:
            return
        trainer.save_checkpoint(RunFolder(Path(trainer.default_root_dir)).last, weights_only=False)
        self.step, self._written_at = trainer.global_step, time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.step, self._written_at = trainer.global_step, time.monotonic()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # Not when the last step ended: only now have the loggers its numbers.
        if self._due.anywhere:
            self.write(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if validates_training(trainer) and trainer.global_step > self.step:
            self.write(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # After the best one was written, of which this one then knows.
        self.write(trainer)

    def _is_due(self, step: int) -> bool:
        if self.every_steps is not None:
            return step % self.every_steps == 0
        return time.monotonic() - self._written_at > self.every_seconds


def validates_training(trainer: Trainer) -> bool:
    """Return whether a validation is one of a training, and no sanity check before it."""
    return trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
