"""Schedules of torch's, in a run that may be resumed."""

import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

log = logging.getLogger(__name__)


def make_schedule(
    make: Callable[[Optimizer], LRScheduler], optimizer: Optimizer, *, num_steps: int
) -> LRScheduler:
    """Return a schedule of torch's for an optimizer whose groups are at their peak.

    Args:
        make: Makes it of an optimizer.
        optimizer: The optimizer.
        num_steps: How often the run steps it.

    Raises:
        ValueError: The schedule waits for a metric, or ends before the run.
    """
    peaks = [group["lr"] for group in optimizer.param_groups]
    schedule = make(optimizer)
    kind = type(schedule).__name__
    if isinstance(schedule, ReduceLROnPlateau):
        raise ValueError(
            f"model.lr_schedule is {kind}, which follows a metric, so that a run stopped beside a validation "
            "could not be resumed exactly; expected a schedule that follows steps or epochs"
        )
    if isinstance(schedule, OneCycleLR) and schedule.total_steps < num_steps:
        raise ValueError(
            f"model.lr_schedule is {kind} of {schedule.total_steps} steps, and the run steps it {num_steps} "
            "times; set total_steps to that, or take gcvideo.training.OneCycle, which knows it"
        )
    if [group["initial_lr"] for group in optimizer.param_groups] != peaks:
        log.warning("%s sets rates of its own: learning_rate and layer_decay have no effect", kind)
    return schedule


class CountedSchedule(LRScheduler):
    """A schedule of torch's whose state is the number of optimizer steps.

    A run that goes on takes these steps again at once, from the peak and with the settings that it is asked
    for now. If nothing has changed, all rates (and momenta, if the schedule moves them) are those of a run
    never stopped, bit for bit. torch's own state would bring the old settings back.

    Args:
        schedule: A schedule that has not stepped yet.
        every: Optimizer steps between two steps of the schedule.
    """

    def __init__(self, schedule: LRScheduler, *, every: int = 1) -> None:
        self.schedule = schedule
        self.every = every
        self.optimizer = schedule.optimizer
        self.last_epoch = 0

    def step(self, epoch: int | None = None) -> None:
        self.last_epoch += 1
        if self.last_epoch % self.every == 0:
            self.schedule.step()

    def get_last_lr(self) -> list[float | torch.Tensor]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, that the optimizer has not stepped before
            if isinstance(self.schedule, LambdaLR) and self.every == 1:  # its last step alone says all
                self.last_epoch = self.schedule.last_epoch = state_dict["last_epoch"] - 1
            while self.last_epoch < state_dict["last_epoch"]:
                self.step()
