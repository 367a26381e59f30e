"""Where in a training a loader is made, and what its epochs then read."""

import logging
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

from gcvideo.data.dataset import EpochOrder, ListOrder
from gcvideo.data.loading.loader import VideoLoader
from gcvideo.data.loading.multigrid_loader import MultigridLoader
from gcvideo.data.loading.train_order import DrawnOrder
from gcvideo.limits import limited

log = logging.getLogger(__name__)


class Place(NamedTuple):
    """Which process of how many makes a loader, and what the Trainer is about to do with it."""

    rank: int = 0
    num_processes: int = 1
    limit: int | float = 1.0
    """Of the batches of an epoch: a number, or a share."""
    overfits: bool = False
    """Whether it trains on the same few batches all the time."""

    @classmethod
    def of(cls, trainer: Any) -> "Place":
        """Return where a Trainer is; without one, alone."""
        if trainer is None:
            return cls()
        overfits = trainer.overfit_batches > 0
        return cls(trainer.global_rank, trainer.world_size, trainer.limit_train_batches, overfits)

    def order(
        self, num_videos: int, *, training: bool, seed: int, drawn: Callable[..., EpochOrder] | None = None
    ) -> EpochOrder:
        """Return the order in which this process reads the videos of an epoch.

        Args:
            num_videos: Videos of the list.
            training: Whether the order changes from epoch to epoch.
            seed: What it derives from.
            drawn: Makes it, where each video does not come once.
        """
        shuffle = training and not self.overfits
        settings = {"seed": seed, "rank": self.rank, "num_processes": self.num_processes}
        if drawn is not None and shuffle:
            return drawn(shuffle=True, even=True, **settings)
        if drawn is not None:
            log.warning(
                "trainer.overfit_batches repeats the first videos of the list; data.train_order waits"
            )
        return (EpochOrder if shuffle else ListOrder)(num_videos, shuffle=shuffle, even=training, **settings)


def require_whole_batch(loader: VideoLoader, place: Place, *, file: Path) -> None:
    """Raise ValueError if the list of a training has fewer videos than its processes read at once."""
    if len(loader.dataset) < loader.largest_batch * place.num_processes:
        raise ValueError(
            f"{file} lists {len(loader.dataset)} videos, fewer than one batch of "
            f"{loader.largest_batch} for each of {place.num_processes} processes; lower data.batch_size"
        )


def say_what_epochs_read(
    loader: VideoLoader, place: Place, *, repeats: int, said: MutableMapping[str, Any]
) -> None:
    """Log how much of a list the epochs of a training read, and in what shapes.

    Args:
        loader: The batches of an epoch.
        place: Where in a training they are read.
        repeats: Clips of every video.
        said: What the log knows already; loaders may be made anew for every epoch.
    """
    if repeats > 1 and "repeats" not in said:
        said["repeats"] = repeats
        log.info(
            "%d clips of every video, from one decode: a process has %d clips in a batch, of %d videos, "
            "which are what the learning rate counts",
            repeats,
            repeats * loader.batch_size,
            loader.batch_size,
        )
    if isinstance(loader.sampler, DrawnOrder) and "order" not in said:
        said["order"] = loader.sampler.fingerprint
        log.info(loader.sampler.described())
    if isinstance(loader, MultigridLoader):
        described = loader.phase_described()
        if said.get("phase") != described:
            said["phase"] = described
            log.info(described)
        return
    used = limited(len(loader), place.limit) * loader.batch_size * place.num_processes
    if used < len(loader.dataset) and not isinstance(loader.sampler, DrawnOrder):
        log.info(
            "each epoch reads %d of %d training videos, in whole batches; %s",
            used,
            len(loader.dataset),
            "the first ones, in order" if place.overfits else "which ones wait changes with every epoch",
        )
