"""How long a fit still takes."""

import math
import time
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

from lightning.pytorch import Trainer

from gcvideo.keeping.epochs import batches_of_epochs


class Plan(NamedTuple):
    """What a fit does from its first epoch to its last, counted in batches."""

    batches_of_epoch: int
    batches: int
    batches_between_validations: float
    """Infinite where none is made within an epoch."""
    epochs_between_validations: int | None
    """None where batches between validations are counted on from epoch to epoch."""
    batches_of_validation: int
    epoch_ends: tuple[int, ...] = ()
    """The batches after which each epoch ends, where epochs differ; batches_of_epoch is the present one's."""

    @classmethod
    def of(cls, trainer: Trainer) -> "Plan | None":
        """Return a trainer's plan once it fits; None where it does not know its own end."""
        batches_of_epoch, epochs, steps = trainer.num_training_batches, trainer.max_epochs, trainer.max_steps
        if math.isinf(batches_of_epoch):
            return None
        ends = tuple(accumulate(batches_of_epochs(trainer) or []))
        batches = math.inf if epochs in (None, -1) else ends[-1] if ends else epochs * batches_of_epoch
        if steps != -1:
            batches = min(batches, steps * trainer.accumulate_grad_batches)
        if math.isinf(batches):
            return None
        between = (trainer.val_check_batch or math.inf) if trainer.enable_validation else math.inf
        return cls(
            int(batches_of_epoch),
            int(batches),
            between,
            trainer.check_val_every_n_epoch,
            int(sum(trainer.num_val_batches)),
            ends,
        )

    def validations_within(self, batches: int) -> int:
        """Return how many validations the first `batches` batches bring."""
        every_epochs, every_batches = self.epochs_between_validations, self.batches_between_validations
        if every_epochs is None:
            return int(batches // every_batches)
        in_an_epoch = self.batches_of_epoch // every_batches
        if self.epoch_ends:
            epochs = bisect_right(self.epoch_ends, batches)
            return int(epochs // every_epochs * in_an_epoch)  # a share of one that has begun is not counted
        epochs, begun = divmod(batches, self.batches_of_epoch)
        within_last = begun // every_batches if (epochs + 1) % every_epochs == 0 else 0
        return int(epochs // every_epochs * in_an_epoch + within_last)


class TimeLeft:
    """The batches and validations of a plan that are left, at the mean of what those done here have taken.

    Until a validation has been timed, each of its batches counts as one of training. The first batch, which
    waits for loader processes to start, counts only while it is the only one.

    Args:
        plan: What there is to do; None is not known.
        now: The clock, in seconds.
    """

    def __init__(self, plan: Plan | None, *, now: Callable[[], float] = time.monotonic) -> None:
        self._plan = plan
        self._now = now
        self._since = now()
        self._batch = _Mean()
        self._warm = False
        self._validation = _Mean()
        self._done = 0
        self._ends: float | None = None

    @property
    def seconds(self) -> float | None:
        """Seconds from now; None while nothing is known."""
        return None if self._ends is None else max(self._ends - self._now(), 0.0)

    def after_batch(self, done: int) -> None:
        """Take note of a training batch, the `done`-th of the plan."""
        if self._batch.count == 1 and not self._warm:
            self._batch, self._warm = _Mean(), True
        self._batch.add(self._lap())
        self._done = done
        self._estimate()

    def after_validation(self) -> None:
        """Take note of a validation."""
        self._validation.add(self._lap())
        self._estimate()

    def _lap(self) -> float:
        since, self._since = self._since, self._now()
        return self._since - since

    def _estimate(self) -> None:
        if self._plan is None or not self._batch.count:
            return
        plan, batch = self._plan, self._batch.value
        validation = self._validation.value if self._validation.count else plan.batches_of_validation * batch
        validations = plan.validations_within(plan.batches) - plan.validations_within(self._done)
        self._ends = self._now() + (plan.batches - self._done) * batch + validations * validation


class _Mean:
    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1

    @property
    def value(self) -> float:
        return self.total / self.count
