"""The learning rate of a run whose epochs differ, in the number of their batches and in the size of these."""

import logging
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from lightning.pytorch import Trainer

from gcvideo.keeping.epochs import EpochsOfTheirOwn, batches_of_epochs, steps_of_run
from gcvideo.training.optimisation import SCALINGS, Scaling
from gcvideo.training.schedules import StepDecay

log = logging.getLogger(__name__)


class Course:
    """Where a run is after a number of optimizer steps.

    Args:
        steps: The optimizer steps of each epoch.
    """

    def __init__(self, steps: Sequence[int]) -> None:
        self.steps = steps
        self.firsts = [0, *accumulate(steps)]

    def epoch(self, step: int) -> float:
        """Return the epochs that are over, fractional between two steps of one."""
        epoch = bisect_right(self.firsts, step) - 1
        if epoch == len(self.steps):
            return float(epoch)
        return epoch + (step - self.firsts[epoch]) / self.steps[epoch]


def factor_by_step(schedule: Any, trainer: Trainer, *, scaling: Scaling) -> Callable[[int], float] | None:
    """Return the factor of the peak at every optimizer step; None where all epochs are alike.

    It is the schedule's, times that for the epoch's batch by the rule of scaling (PySlowFast: linear), for
    the long cycle and not within the short one. A warm-up ends at the rate of then, as in PySlowFast.

    Raises:
        ValueError: The schedule does not go by the steps of the epochs.
    """
    loader, batches = trainer.train_dataloader, batches_of_epochs(trainer)
    if batches is None:
        return None
    assert isinstance(loader, EpochsOfTheirOwn)
    milestones = loader.milestones
    if not isinstance(schedule, StepDecay):
        kind = getattr(schedule, "class_path", type(schedule).__name__)
        raise ValueError(
            f"model.lr_schedule is {kind}, and data.multigrid goes by steps of the rate; give StepDecay with "
            f"milestones {milestones}"
        )
    if list(schedule.milestones) != milestones:
        raise ValueError(
            f"model.lr_schedule has milestones {list(schedule.milestones)}, and the steps of data.multigrid, "
            f"in its own epochs, are {milestones}; give those"
        )
    accumulated = trainer.accumulate_grad_batches
    course = Course([-(-number // accumulated) for number in batches])
    num_epochs = course.epoch(int(steps_of_run(trainer)))
    if schedule.warmup_steps is not None:
        warmup_epochs = course.epoch(schedule.warmup_steps)
        schedule = replace(schedule, warmup_epochs=warmup_epochs, warmup_steps=None)
    scaled, _ = SCALINGS[scaling]

    times = dict.fromkeys(
        f"{scaled(1.0, loader.relative_batch(epoch), 1):g}" for epoch in range(len(batches))
    )
    log.info("with the batch of a phase, the rate is %s times the peak", ", ".join(times))

    def factor(step: int) -> float:
        epoch = course.epoch(step)
        relative = loader.relative_batch(int(max(epoch, schedule.warmup_epochs)))
        return scaled(1.0, relative, 1) * schedule(epoch, num_epochs)

    return factor
