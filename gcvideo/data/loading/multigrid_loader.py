"""Batches whose clips change their shape, as a multigrid plan says."""

from copy import copy
from typing import Any

from jaxtyping import Int64
from lightning.pytorch import Trainer
from torch import Tensor

from gcvideo.clip import Clip
from gcvideo.data.augmentation.temporal import RandomStrideClip
from gcvideo.data.dataset import SampleKey, VideoDataset
from gcvideo.data.loading.loader import VideoLoader
from gcvideo.data.multigrid import Multigrid, MultigridPlan
from gcvideo.data.sampling import ClipFrames, ClipSampler, ClipShape
from gcvideo.data.transforms import FrameTransform


class MultigridDataset(VideoDataset):
    """Videos as clips of the shape that their key names.

    Args:
        full: The videos, as clips of the full shape.
        of_shape: The same videos, as clips of each shape.
    """

    def __init__(self, full: VideoDataset, of_shape: dict[ClipShape, VideoDataset]) -> None:
        vars(self).update(vars(full))
        self.of_shape = of_shape

    def __getitem__(self, key: SampleKey) -> Clip:
        assert len(key) == 3
        moment, index, shape = key
        return self.of_shape[shape][moment, index]


class MultigridLoader(VideoLoader):
    """The batches of one epoch after another, shaped as a plan says.

    Which videos stand in batch k of epoch e, and every clip of them, follows from seed, plan, e and k alone.
    Epochs differ in their number of batches, so that a Trainer asks for a loader anew before each.

    Args:
        plan: Shape and size of every batch; the size in multiples of batch_size.
        settings: Those of VideoLoader.
    """

    def __init__(self, *args: Any, plan: MultigridPlan, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.plan = plan

    def __len__(self) -> int:
        """Return the number of batches of the epoch that the order is at."""
        return self.batches_of(self.sampler.epoch)

    @property
    def milestones(self) -> list[int]:
        """Return the epochs at which the learning rate falls."""
        return self.plan.milestones

    def batches_of(self, epoch: int) -> int:
        """Return the number of batches of an epoch."""
        return self.plan.num_batches(epoch, num_clips=len(self.sampler) // self.batch_size)

    @property
    def largest_batch(self) -> int:
        """Return the videos of the largest batch that any epoch has."""
        return self.batch_size * max(batch.num_clips for phase in self.plan.phases for batch in phase.cycle)

    @property
    def num_taking_turns(self) -> int:
        """Return after how many batches their shapes come again."""
        return len(self.plan.phase(self.sampler.epoch).cycle)

    def relative_batch(self, epoch: int) -> int:
        """Return how many times the configured batch an epoch's is, in the long cycle."""
        return self.plan.phase(epoch).relative_batch

    def of_long_cycle(self) -> "MultigridLoader":
        """Return the loader of the same epoch, whose batches have all one shape."""
        loader = copy(self)
        loader.plan = self.plan.without_short_cycle()
        return loader

    def keys(self, epoch: int, number: int, order: Int64[Tensor, " N"]) -> list[SampleKey]:
        """Return the keys of batch `number` of an epoch whose videos stand in `order`."""
        shape, num_clips = self.plan.batch(epoch, number)
        first = self.plan.first_clip(epoch, number) * self.batch_size
        videos = order[first : first + num_clips * self.batch_size].tolist()
        return [
            (self.sampler.moment(epoch, place), index, shape) for place, index in enumerate(videos, first)
        ]

    def phase_described(self) -> str:
        """Return how long the present shapes stay, and what they are."""
        epoch, plan = self.sampler.epoch, self.plan
        cycle = plan.phase(epoch).cycle
        first = last = epoch
        while first > 0 and plan.phase(first - 1).cycle == cycle:
            first -= 1
        while last < plan.num_epochs - 1 and plan.phase(last + 1).cycle == cycle:
            last += 1
        frames, least, most, _ = cycle[-1].shape
        crops = ", ".join(str(batch.shape.crop_size) for batch in cycle)
        sizes = ", ".join(str(batch.num_clips * self.batch_size) for batch in cycle)
        return (
            f"multigrid, epochs {first} to {last}: {frames} frames at stride {least} to {most}, crops of "
            f"{crops} pixels in batches of {sizes} per process, {self.batches_of(epoch)} batches an epoch"
        )


def plan_of(
    settings: Multigrid, *, clip: ClipFrames, transform: FrameTransform, sampler: ClipSampler
) -> MultigridPlan:
    """Return the plan of a schedule.

    Args:
        settings: The schedule.
        clip: The full clip.
        transform: What crops the full clip.
        sampler: What chooses its frames.

    Raises:
        ValueError: The schedule cannot be, the transform cuts one size only, or the sampler draws strides.
    """
    crop_size = getattr(transform, "crop_size", None)
    if not isinstance(crop_size, int):
        raise ValueError(
            f"data.train_transform is {type(transform).__name__}, without a crop_size that data.multigrid "
            "could change; take ScaleJitter or AreaJitter"
        )
    if isinstance(sampler, RandomStrideClip):
        raise ValueError(
            "data.train_sampler is RandomStrideClip, and data.multigrid draws strides itself; leave one out"
        )
    return MultigridPlan(settings, clip=clip, crop_size=crop_size)


def require_possible(plan: MultigridPlan, trainer: Trainer) -> None:
    """Check that a trainer can follow a plan.

    Raises:
        ValueError: It would not ask for the loader of each phase, end elsewhere, or mix batches of several
            sizes.
    """
    asked: Any = trainer
    if asked.reload_dataloaders_every_n_epochs != 1:
        raise ValueError(
            "data.multigrid has other batches from phase to phase, and "
            f"trainer.reload_dataloaders_every_n_epochs is {asked.reload_dataloaders_every_n_epochs}; give 1"
        )
    if asked.overfit_batches > 0:
        raise ValueError(
            "trainer.overfit_batches repeats batches, which data.multigrid gives other shapes; leave one out"
        )
    if asked.fast_dev_run:
        return
    if asked.max_epochs != plan.num_epochs:
        raise ValueError(
            f"trainer.max_epochs is {asked.max_epochs}, and the schedule of data.multigrid takes "
            f"{plan.num_epochs} epochs; give that"
        )
    if plan.short_cycle and asked.accumulate_grad_batches != 1:
        raise ValueError(
            f"trainer.accumulate_grad_batches is {asked.accumulate_grad_batches}, which would average over "
            "batches of several sizes; leave it out, or set data.multigrid.short_cycle []"
        )
