"""Learning rates over a run, as factors of the peak."""

import logging
import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace

log = logging.getLogger(__name__)


class Schedule(ABC):
    """The learning rate at some point of a run, as a factor of its peak."""

    @abstractmethod
    def __call__(self, epoch: float, max_epochs: float) -> float:
        """Return the factor at `epoch`, 0..max_epochs, fractional between the steps of an epoch.

        max_epochs may be fractional too, if max_steps ends the run.
        """

    def settled(self, *, steps_per_epoch: int, max_epochs: float) -> "Schedule":
        """Return the schedule of a run whose length is known: this one, if it says nothing in steps."""
        return self


@dataclass(frozen=True, kw_only=True)
class WarmedUp(Schedule):
    """A course that is entered by a line from `warmup_start` to the course's own value at the warm-up's end.

    Args:
        warmup_epochs: Length of the warm-up; 0 for none.
        warmup_start: Factor at the first step of the warm-up.
        warmup_steps: Length of the warm-up in optimizer steps, in place of warmup_epochs.

    Raises:
        ValueError: A number is negative, or both lengths are given.
    """

    warmup_epochs: float = 0.0
    warmup_start: float = 0.1
    warmup_steps: int | None = None

    def __post_init__(self) -> None:
        for name, number in asdict(self).items():
            if isinstance(number, int | float) and number < 0:
                raise ValueError(f"{name} is {number:g}; expected 0 or more")
        if self.warmup_epochs and self.warmup_steps is not None:
            raise ValueError(
                f"warmup_epochs is {self.warmup_epochs:g} and warmup_steps {self.warmup_steps}; "
                "give one of them, and set warmup_epochs to 0 for the other"
            )

    @abstractmethod
    def course(self, epoch: float, max_epochs: float) -> float:
        """Return the factor at `epoch`, as if there were no warm-up."""

    def __call__(self, epoch: float, max_epochs: float) -> float:
        if self.warmup_steps is not None:  # of a run whose epochs have no one number of steps
            raise ValueError(
                f"warmup_steps is {self.warmup_steps}, and the epochs of this run have no one number of "
                "steps; give warmup_epochs"
            )
        if epoch >= self.warmup_epochs:
            return self.course(epoch, max_epochs)
        end = self.course(self.warmup_epochs, max_epochs)
        return self.warmup_start + (end - self.warmup_start) * epoch / self.warmup_epochs

    def settled(self, *, steps_per_epoch: int, max_epochs: float) -> "Schedule":
        warmup_epochs = self.warmup_epochs
        if self.warmup_steps is not None:
            warmup_epochs = self.warmup_steps / steps_per_epoch
        if warmup_epochs >= max_epochs:
            log.warning(
                "the warm-up takes %g epochs and the run %g: the rate never reaches its peak",
                warmup_epochs,
                max_epochs,
            )
        return replace(self, warmup_epochs=warmup_epochs, warmup_steps=None)


@dataclass(frozen=True)
class HalfCosine(WarmedUp):
    """end + (1 - end) (1 + cos(pi * epoch / max_epochs)) / 2, entered by a linear warm-up.

    Loshchilov & Hutter, arXiv:1608.03983, without restarts; PySlowFast's cosine. The cosine begins with the
    run, and the warm-up joins it from below.

    Args:
        warmup_epochs: Length of the warm-up; 0 for none.
        warmup_start: Factor at the first step of the warm-up.
        warmup_steps: Length of the warm-up in optimizer steps, in place of warmup_epochs.
        end: Factor at the end of the run.
    """

    end: float = 0.0

    def course(self, epoch: float, max_epochs: float) -> float:
        return _cosine(epoch, max_epochs, start=1.0, end=self.end)


@dataclass(frozen=True)
class CosineAfterWarmup(WarmedUp):
    """A linear warm-up to the peak, from there half a cosine to the end of the run.

    end + (1 - end) (1 + cos(pi * (epoch - w) / (max_epochs - w))) / 2 after a warm-up of w epochs:
    PySlowFast's cosine with COSINE_AFTER_WARMUP, whose COSINE_END_LR is `end` times the peak.

    Args:
        warmup_epochs: Length of the warm-up; 0 for none.
        warmup_start: Factor at the first step of the warm-up.
        warmup_steps: Length of the warm-up in optimizer steps, in place of warmup_epochs.
        end: Factor at the end of the run.
    """

    end: float = 0.0

    def course(self, epoch: float, max_epochs: float) -> float:
        begun = self.warmup_epochs
        return _cosine(epoch - begun, max_epochs - begun, start=1.0, end=self.end)


@dataclass(frozen=True)
class LinearDecay(WarmedUp):
    """A linear warm-up to the peak, from there a line to `end` at the end of the run.

    Args:
        warmup_epochs: Length of the warm-up; 0 for none.
        warmup_start: Factor at the first step of the warm-up.
        warmup_steps: Length of the warm-up in optimizer steps, in place of warmup_epochs.
        end: Factor at the end of the run.
    """

    end: float = 0.0

    def course(self, epoch: float, max_epochs: float) -> float:
        length = max_epochs - self.warmup_epochs
        return 1 + (self.end - 1) * (epoch - self.warmup_epochs) / length if length > 0 else 1.0


@dataclass(frozen=True)
class Constant(WarmedUp):
    """The peak throughout, entered by a linear warm-up.

    Args:
        warmup_epochs: Length of the warm-up; 0 for none.
        warmup_start: Factor at the first step of the warm-up.
        warmup_steps: Length of the warm-up in optimizer steps, in place of warmup_epochs.
    """

    def course(self, epoch: float, max_epochs: float) -> float:
        return 1.0


@dataclass(frozen=True)
class StepDecay(WarmedUp):
    """gamma to the number of milestones passed, entered by a linear warm-up.

    Args:
        warmup_epochs: Length of the warm-up; 0 for none.
        warmup_start: Factor at the first step of the warm-up.
        warmup_steps: Length of the warm-up in optimizer steps, in place of warmup_epochs.
        milestones: Epochs at which the rate is multiplied by gamma.
        gamma: The factor of each milestone.
    """

    milestones: tuple[float, ...] = (90.0, 130.0)
    gamma: float = 0.1

    def course(self, epoch: float, max_epochs: float) -> float:
        return self.gamma ** sum(epoch >= milestone for milestone in self.milestones)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Half a cosine up to the peak and another down to almost nothing (Smith & Topin, arXiv:1708.07120).

    The rates of torch's OneCycleLR, to within a step of the run, for a max_lr that is the peak and as many
    steps as the run has. Momentum stays as it is; torch's own moves it too.

    Args:
        rise: Share of the run in which the rate rises.
        start: Factor at the first step; torch's 1 / div_factor.
        end: Factor at the end of the run; torch's 1 / (div_factor * final_div_factor).

    Raises:
        ValueError: rise is not between 0 and 1.
    """

    rise: float = 0.3
    start: float = 0.04
    end: float = 4e-6

    def __post_init__(self) -> None:
        if not 0 < self.rise < 1:
            raise ValueError(f"rise is {self.rise:g}; expected a share of the run, between 0 and 1")

    def __call__(self, epoch: float, max_epochs: float) -> float:
        top = self.rise * max_epochs
        if epoch < top:
            return _cosine(epoch, top, start=self.start, end=1.0)
        return _cosine(epoch - top, max_epochs - top, start=1.0, end=self.end)


@dataclass(frozen=True)
class ThenConstant(Schedule):
    """Another schedule over the first epochs of a run, then a constant: for weights that are averaged then.

    Izmailov et al., arXiv:1803.05407; torch's SWALR without annealing.

    Args:
        first: The schedule of the first epochs, which it takes for all of the run.
        epochs: How many they are.
        factor: Factor of the peak in the others.
    """

    first: Schedule
    epochs: float
    factor: float

    def __call__(self, epoch: float, max_epochs: float) -> float:
        return self.first(epoch, self.epochs) if epoch < self.epochs else self.factor

    def settled(self, *, steps_per_epoch: int, max_epochs: float) -> Schedule:
        first = self.first.settled(steps_per_epoch=steps_per_epoch, max_epochs=self.epochs)
        return replace(self, first=first)


def _cosine(epoch: float, length: float, *, start: float, end: float) -> float:
    """Return where half a cosine of this length, from `start` to `end`, is at `epoch`; of none, its start."""
    return end + (start - end) * (1 + math.cos(math.pi * epoch / length)) / 2 if length > 0 else start
