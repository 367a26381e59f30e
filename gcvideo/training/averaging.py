"""Weights averaged over the last epochs of a run."""

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class SWAWeightAveraging(WeightAveraging):
    """Stochastic weight averaging: the equal mean of the weights after each of the last epochs.

    Izmailov et al., arXiv:1803.05407, algorithm 1: from the weights w after `start_epoch` epochs,
    w_SWA <- (n w_SWA + w) / (n + 1) after every `every_epochs` epochs, n means of before. Until then w_SWA is
    w, so that validation is that of a run without. The rate of these epochs is the schedule's, which
    gcvideo.training.ThenConstant keeps level. The statistics of batch norms are those of the means if
    PreciseBatchNorm stands behind it. In a configuration file:

        trainer:
          callbacks:
            - class_path: gcvideo.training.SWAWeightAveraging
              init_args:
                start_epoch: 150

    Args:
        start_epoch: Epochs before the first that is averaged.
        every_epochs: Epochs between two weights that are averaged.
        device: Where the means are kept; with the network if unset.

    Raises:
        ValueError: A number of epochs is too small.
    """

    def __init__(
        self, start_epoch: int, *, every_epochs: int = 1, device: torch.device | str | int | None = None
    ) -> None:
        if start_epoch < 1 or every_epochs < 1:
            raise ValueError(
                f"start_epoch is {start_epoch} and every_epochs {every_epochs}; expected 1 or more of each"
            )
        super().__init__(device=device, avg_fn=self._mean)
        self.start_epoch = start_epoch
        self.every_epochs = every_epochs
        self.steps_of_an_epoch = 1
        self.num_means = 0
        self.restored = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a run that would not average what it says.

        Raises:
            ValueError: It ends before any epoch is averaged, or has passed the first without this callback.
        """
        self.steps_of_an_epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
        start = self.start_epoch * self.steps_of_an_epoch
        first, steps = start + self.every_epochs * self.steps_of_an_epoch, trainer.estimated_stepping_batches
        if steps < first and not trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue]
            raise ValueError(
                f"SWAWeightAveraging averages first after step {first} (start_epoch {self.start_epoch}, "
                f"every_epochs {self.every_epochs}), and the run ends after {steps}; lower start_epoch"
            )
        if trainer.global_step > start and not self.restored:
            raise ValueError(
                f"SWAWeightAveraging has start_epoch {self.start_epoch}, and the checkpoint is of step "
                f"{trainer.global_step}, behind it, and has averaged nothing; raise start_epoch"
            )

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Return whether the means change after this step: up to start_epoch always, then once in a while."""
        if step_idx is None:
            return False
        since_start = step_idx + 1 - self.start_epoch * self.steps_of_an_epoch
        if since_start > 0 and since_start % (self.every_epochs * self.steps_of_an_epoch):
            return False
        self.num_means = self.num_means + 1 if since_start > 0 else 0
        return True

    def _mean(self, mean: Tensor, weight: Tensor, num_updates: Any) -> Tensor:
        """Return (n mean + weight) / (n + 1); the weight itself while nothing is averaged."""
        return mean + (weight - mean) / (self.num_means + 1) if self.num_means else weight

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "num_means": self.num_means}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.num_means, self.restored = state_dict["num_means"], True
