"""How many batches the epochs of a run have, where that is not one number."""

from typing import Protocol, runtime_checkable

from lightning.pytorch import Trainer

from gcvideo.limits import limited


@runtime_checkable
class EpochsOfTheirOwn(Protocol):
    """A training loader whose epochs differ in their number of batches and in the size of these."""

    @property
    def milestones(self) -> list[int]:
        """Return the epochs at which the learning rate falls."""
        ...

    def batches_of(self, epoch: int) -> int:
        """Return the number of batches of an epoch."""
        ...

    def relative_batch(self, epoch: int) -> int:
        """Return the clips of an epoch's batches, in batches of the size that the run is configured with."""
        ...


def batches_of_epochs(trainer: Trainer) -> list[int] | None:
    """Return the batches of each epoch that a trainer trains for; None where all have the same number."""
    loader, limit = trainer.train_dataloader, trainer.limit_train_batches
    if not isinstance(loader, EpochsOfTheirOwn):
        return None
    return [limited(loader.batches_of(epoch), limit) for epoch in range(trainer.max_epochs or 0)]


def steps_of_run(trainer: Trainer) -> int | float:
    """Return the number of optimizer steps that a trainer is to make; infinite where nothing ends it."""
    batches = batches_of_epochs(trainer)
    if batches is None:
        return trainer.estimated_stepping_batches
    steps = sum(-(-number // trainer.accumulate_grad_batches) for number in batches)
    return steps if trainer.max_steps == -1 else min(steps, trainer.max_steps)
