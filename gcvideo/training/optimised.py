"""The optimizer and the schedule of a network that is trained."""

import logging
import math
from collections.abc import Callable
from typing import Any, Literal

from lightning.pytorch import LightningModule
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.optim.optimizer import ParamsT

from gcvideo.training.counted_schedule import CountedSchedule, make_schedule
from gcvideo.training.finetuning import scaled_by_depth
from gcvideo.training.making import shared_by_copies
from gcvideo.training.multigrid import factor_by_step
from gcvideo.training.optimisation import ParameterGroups, Peak, Scaling, Undecayed, parameter_groups
from gcvideo.training.optimizer_state import keep_state_by_name, kind_of
from gcvideo.training.schedules import Schedule

log = logging.getLogger(__name__)


class OptimisedNetwork(LightningModule):
    """A network with an optimizer and a schedule, whose peak rate follows the batch.

    The peak learning rate follows the linear rule (Goyal et al., arXiv:1706.02677): learning_rate * global
    batch / reference_batch_size, unless scale_learning_rate says otherwise.
    """

    network: nn.Module

    def optimise_by(
        self,
        *,
        learning_rate: float,
        reference_batch_size: int,
        scale_learning_rate: Scaling,
        batch_size: int,
        layer_decay: float,
        no_weight_decay: Undecayed,
        optimizer: Callable[[ParamsT, float], Optimizer],
        lr_schedule: Schedule | Callable[[Optimizer], LRScheduler],
        lr_interval: Literal["step", "epoch"],
    ) -> None:
        """Keep the settings that configure_optimizers needs, as VideoClassifier explains them.

        Raises:
            ValueError: layer_decay is no share.
        """
        if not 0 < layer_decay <= 1:
            raise ValueError(f"layer_decay is {layer_decay}; expected more than 0, up to 1")
        self.learning_rate = learning_rate
        self.reference_batch_size = reference_batch_size
        self.scale_learning_rate: Scaling = scale_learning_rate
        self.batch_size = batch_size
        self.layer_decay = layer_decay
        self.no_weight_decay: Undecayed = no_weight_decay
        self.optimizer = shared_by_copies(optimizer)
        self.lr_schedule = lr_schedule if isinstance(lr_schedule, Schedule) else shared_by_copies(lr_schedule)
        self.lr_interval = lr_interval

    def configure_optimizers(self) -> Any:
        peak = Peak(
            learning_rate=self.learning_rate,
            global_batch=self.batch_size * self.trainer.world_size * self.trainer.accumulate_grad_batches,
            reference=self.reference_batch_size,
            scaling=self.scale_learning_rate,
        )
        log.info("%s", peak)
        optimizer = self.optimizer(self.parameter_groups(peak.value), peak.value)
        keep_state_by_name(optimizer, self.optimizer)
        schedule = {
            "scheduler": self._schedule(optimizer),
            "interval": "step",
            "name": f"lr-{kind_of(optimizer).__name__}",
        }
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def parameter_groups(self, peak: float) -> ParameterGroups:
        """Return the network's trained parameters in groups of one learning rate and weight decay each."""
        groups = parameter_groups(self.network, undecayed=self.no_weight_decay)
        return scaled_by_depth(groups, self.network, peak=peak, layer_decay=self.layer_decay)

    def _schedule(self, optimizer: Optimizer) -> CountedSchedule:
        steps_per_epoch = self._steps_per_epoch()
        schedule = self.lr_schedule
        if factor := factor_by_step(schedule, self.trainer, scaling=self.scale_learning_rate):
            return CountedSchedule(LambdaLR(optimizer, factor))
        if isinstance(schedule, Schedule):
            num_epochs = self.trainer.estimated_stepping_batches / steps_per_epoch
            settled = schedule.settled(steps_per_epoch=steps_per_epoch, max_epochs=num_epochs)
            return CountedSchedule(
                LambdaLR(optimizer, lambda step: settled(step / steps_per_epoch, num_epochs))
            )
        every = 1 if self.lr_interval == "step" else steps_per_epoch
        num_steps = int(self.trainer.estimated_stepping_batches) // every
        return CountedSchedule(make_schedule(schedule, optimizer, num_steps=num_steps), every=every)

    def _steps_per_epoch(self) -> int:
        if self.trainer.estimated_stepping_batches == float("inf"):
            raise ValueError(
                "the schedule needs the length of the run; give the trainer max_epochs or max_steps"
            )
        self.trainer.fit_loop.setup_data()  # which a run of max_steps alone has not done yet
        return math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
