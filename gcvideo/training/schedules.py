"""Learning rates over a run, as factors of the peak."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass


class Schedule(ABC):
    """The learning rate at some point of a run, as a factor of its peak."""

    @abstractmethod
    def __call__(self, epoch: float, max_epochs: float) -> float:
        """Return the factor at `epoch`, 0..max_epochs, fractional between the steps of an epoch.

        max_epochs may be fractional too, if max_steps ends the run.
        """


@dataclass(frozen=True)
class HalfCosine(Schedule):
    """(1 + cos(pi * epoch / max_epochs)) / 2, entered by a linear warm-up.

    Loshchilov & Hutter, arXiv:1608.03983, without restarts. During warm-up the factor rises linearly from
    warmup_start to the cosine's own value at the warm-up's end, so that there is no step.

    Args:
        warmup_epochs: Length of the warm-up; 0 for none.
        warmup_start: Factor at the first step of the warm-up.
    """

    warmup_epochs: float = 0.0
    warmup_start: float = 0.1

    def __call__(self, epoch: float, max_epochs: float) -> float:
        if epoch < self.warmup_epochs:
            end = self(self.warmup_epochs, max_epochs)
            return self.warmup_start + (end - self.warmup_start) * epoch / self.warmup_epochs
        return (1 + math.cos(math.pi * epoch / max_epochs)) / 2


@dataclass(frozen=True)
class StepDecay(Schedule):
    """gamma to the number of milestones passed, entered by a linear warm-up.

    Args:
        milestones: Epochs at which the rate is multiplied by gamma.
        gamma: The factor of each milestone.
        warmup_epochs: Length of the warm-up; 0 for none.
        warmup_start: Factor at the first step of the warm-up.
    """

    milestones: tuple[float, ...] = (90.0, 130.0)
    gamma: float = 0.1
    warmup_epochs: float = 0.0
    warmup_start: float = 0.1

    def __call__(self, epoch: float, max_epochs: float) -> float:
        if epoch < self.warmup_epochs:
            return self.warmup_start + (1 - self.warmup_start) * epoch / self.warmup_epochs
        return self.gamma ** sum(epoch >= milestone for milestone in self.milestones)
