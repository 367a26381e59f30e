"""Multigrid training (Wu et al., arXiv:1912.00998): the shape and the number of the clips of every batch.

Coarse clips (few frames, small crops) come in large batches, fine ones in small batches, so that every step
costs about the same and an epoch takes fewer of them.
"""

from bisect import bisect_right
from copy import copy
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

from gcvideo.data.sampling import ClipFrames, ClipShape


class GridBatch(NamedTuple):
    """The clips of one batch."""

    shape: ClipShape
    num_clips: int
    """In batches of the baseline."""


class Phase(NamedTuple):
    """A stretch of epochs of one shape of the long cycle."""

    first_epoch: int
    milestones_passed: int
    cycle: tuple[GridBatch, ...]
    """The batches that take turns, those of the short cycle before that of the long one."""

    @property
    def relative_batch(self) -> int:
        """Clips of the long cycle's batch, in batches of the baseline."""
        return self.cycle[-1].num_clips


@dataclass(frozen=True)
class Multigrid:
    """A multigrid schedule, made from the step schedule of a baseline.

    Between two milestones all shapes of the long cycle are run, coarse to fine, each for as many iterations;
    after the last milestone the full shape alone. Within a shape, the batches of the short cycle take turns
    with it. The defaults are PySlowFast's, and so are epochs and batches, to the last one.

    Args:
        epochs: Epochs of the baseline.
        milestones: Epochs at which the baseline multiplies its learning rate by gamma.
        epoch_factor: Epochs of the multigrid run, per epoch of the baseline.
        long_cycle: Share of the frames and of the crop's side of each shape, coarse to fine; the last one is
            the full one. Empty for none.
        short_cycle: Share of the full crop's side of each batch that takes turns with the shape's own. Empty
            for none.
    """

    epochs: int = 239
    milestones: tuple[int, ...] = (94, 154, 196)
    epoch_factor: float = 1.5
    long_cycle: tuple[tuple[float, float], ...] = ((0.25, 0.7071), (0.5, 0.7071), (0.5, 1.0), (1.0, 1.0))
    short_cycle: tuple[float, ...] = (0.5, 0.7071)


class MultigridPlan:
    """The batches of a multigrid run: a pure function of epoch and number.

    Args:
        settings: The schedule.
        clip: The full clip.
        crop_size: The full crop's side, in pixels.

    Raises:
        ValueError: There is no cycle, the long one does not end with the full shape, or a shape would have
            no frame or no epoch.
    """

    def __init__(self, settings: Multigrid, *, clip: ClipFrames, crop_size: int) -> None:
        _require_possible(settings)
        self.clip = clip
        self.crop_size = crop_size
        self.short_cycle = settings.short_cycle
        if settings.long_cycle:
            self.phases, self.num_epochs = self._long_cycle(settings)
        else:
            ends = [
                int(epoch * settings.epoch_factor) for epoch in (0, *settings.milestones, settings.epochs)
            ]
            *firsts, self.num_epochs = ends
            self.phases = [
                Phase(first, step, self._cycle(clip.num_frames, crop_size))
                for step, first in enumerate(firsts)
            ]
        self._firsts = [phase.first_epoch for phase in self.phases]
        if any(first >= second for first, second in pairwise([*self._firsts, self.num_epochs])):
            raise ValueError(
                f"data.multigrid makes {len(self.phases)} phases of {settings.epochs} epochs, and one "
                "would have none; raise epochs or epoch_factor, or let milestones stand further apart"
            )

    @property
    def shapes(self) -> set[ClipShape]:
        """Return all shapes."""
        return {batch.shape for phase in self.phases for batch in phase.cycle}

    def without_short_cycle(self) -> "MultigridPlan":
        """Return the same phases, each with the batch of its long cycle alone."""
        plan = copy(self)
        plan.phases = [phase._replace(cycle=phase.cycle[-1:]) for phase in self.phases]
        return plan

    def phase(self, epoch: int) -> Phase:
        """Return the phase that an epoch belongs to; epochs behind the last are as it is."""
        return self.phases[bisect_right(self._firsts, epoch) - 1]

    def batch(self, epoch: int, number: int) -> GridBatch:
        """Return shape and size of batch `number` of an epoch."""
        cycle = self.phase(epoch).cycle
        return cycle[number % len(cycle)]

    def first_clip(self, epoch: int, number: int) -> int:
        """Return how many clips come before batch `number` of an epoch, in batches of the baseline."""
        sizes = [batch.num_clips for batch in self.phase(epoch).cycle]
        rounds, rest = divmod(number, len(sizes))
        return rounds * sum(sizes) + sum(sizes[:rest])

    def num_batches(self, epoch: int, *, num_clips: int) -> int:
        """Return how many whole batches `num_clips` clips make, counted in batches of the baseline."""
        sizes = [batch.num_clips for batch in self.phase(epoch).cycle]
        rounds, rest = divmod(num_clips, sum(sizes))
        return rounds * len(sizes) + sum(end <= rest for end in accumulate(sizes))

    @property
    def milestones(self) -> list[int]:
        """Return the epochs at which the learning rate falls by gamma."""
        return [
            after.first_epoch
            for before, after in pairwise(self.phases)
            if after.milestones_passed > before.milestones_passed
        ]

    def _long_cycle(self, settings: Multigrid) -> tuple[list[Phase], int]:
        """Return the phases, and the number of epochs, as PySlowFast's get_long_cycle_schedule has them."""
        clip, crop = self.clip, self.crop_size
        # The shapes of the long cycle, and the mean batch of each with those of the short cycle.
        cycles, mean_batches = [], []
        for frames, side in settings.long_cycle:
            num_frames, crop_size = round(clip.num_frames * frames), round(crop * side)
            if num_frames < 1:
                raise ValueError(
                    f"data.multigrid.long_cycle takes {frames:g} of {clip.num_frames} frames, which is none; "
                    "raise data.clip.num_frames"
                )
            cycles.append(self._cycle(num_frames, crop_size))
            sides = [*(crop * share for share in settings.short_cycle), crop_size]
            batches = [round(clip.num_frames * crop**2 / (num_frames * side**2)) for side in sides]
            mean_batches.append(sum(batches) / len(batches))
        # Every shape takes as many iterations of a step; fine-tuning saves as many as the steps before it.
        begins = (0, *settings.milestones)
        lengths = [
            (end - begin) * mean / sum(mean_batches)
            for begin, end in pairwise(begins)
            for mean in mean_batches
        ]
        saving = sum(mean_batches) / len(mean_batches)
        lengths.append((settings.epochs - begins[-1]) / saving * mean_batches[-1])
        # To the length of the whole run, rounded cumulatively.
        scale = settings.epochs * settings.epoch_factor / sum(lengths)
        *ends, num_epochs = (round(end) for end in accumulate(length * scale for length in lengths))
        num_steps, num_shapes = len(settings.milestones), len(cycles)
        places = [(step, cycle) for step in range(num_steps) for cycle in cycles]
        phases = [Phase(first, *place) for first, place in zip([0, *ends[:-1]], places, strict=True)]
        # The first half of fine-tuning keeps the learning rate.
        full = cycles[num_shapes - 1]
        halves = (ends[-1], num_steps - 1), ((ends[-1] + num_epochs) // 2, num_steps)
        return [*phases, *(Phase(first, step, full) for first, step in halves)], num_epochs

    def _cycle(self, num_frames: int, crop_size: int) -> tuple[GridBatch, ...]:
        """Return the batches that take turns in a shape.

        A smaller crop comes in a batch of round((crop / smaller)^2) times the shape's own, as in PySlowFast's
        sampler: 4, 2, 1 at the full crop; at 0.7071 of it 2, 1, 1, whose last two shapes are one.
        """
        clip, crop = self.clip, self.crop_size
        relative = round(clip.num_frames * crop**2 / (num_frames * crop_size**2))
        max_stride = clip.stride * (clip.num_frames // num_frames)

        def batch(side: int, factor: int) -> GridBatch:
            return GridBatch(ClipShape(num_frames, clip.stride, max_stride, side), relative * factor)

        smaller = [
            batch(round(crop * share), round((crop_size / (crop * share)) ** 2)) for share in self.short_cycle
        ]
        return (*smaller, batch(crop_size, 1))


def _require_possible(settings: Multigrid) -> None:
    if not settings.long_cycle and not settings.short_cycle:
        raise ValueError("data.multigrid has neither long_cycle nor short_cycle; leave it out")
    if settings.long_cycle and settings.long_cycle[-1] != (1.0, 1.0):
        raise ValueError(
            f"data.multigrid.long_cycle ends with {settings.long_cycle[-1]}; expected the full shape, [1, 1]"
        )
    shares = [*settings.short_cycle, *(share for shape in settings.long_cycle for share in shape)]
    if not all(0 < share <= 1 for share in shares):
        raise ValueError("data.multigrid has a share that is not in 0..1; expected shares of the full shape")
    steps = (0, *settings.milestones, settings.epochs)
    if any(first >= second for first, second in pairwise(steps)) or settings.epoch_factor <= 0:
        raise ValueError(
            f"data.multigrid has epochs {settings.epochs}, milestones {list(settings.milestones)} "
            f"and epoch_factor {settings.epoch_factor:g}; expected 0 < milestones, rising, "
            "< epochs, and a factor above 0"
        )
    if settings.long_cycle and not settings.milestones:
        raise ValueError("data.multigrid.long_cycle needs milestones; give those of the baseline")
