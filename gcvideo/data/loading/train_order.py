"""Orders of an epoch in which some videos come more often than others."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float64, Int64, Integer
from torch import Tensor

from gcvideo.clip import VideoRecord
from gcvideo.data.dataset import EpochOrder, Moment, mixed
from gcvideo.data.lists.class_counts import class_counts
from gcvideo.data.lists.records import VideoRecords

FAR = 1 << 40
"""An epoch that none comes after."""
DRAWS_AT_ONCE = 1 << 20
"""Part of what an order follows from: another number would be another order."""


class ListLabels:
    """The labels of a list of N videos, which may have one each, several, or none.

    Args:
        records: The videos.
        class_names: The K class names.
    """

    def __init__(self, records: Sequence[VideoRecord], class_names: Sequence[str]) -> None:
        self.records = records
        self.class_names = class_names
        self.num_videos = len(records)
        self.num_classes = len(class_names)

    @cached_property
    def label(self) -> Int64[Tensor, " L"]:
        """The labels of the first video, then those of the second, and so on."""
        if isinstance(self.records, VideoRecords):
            return self.records.label
        return torch.tensor([label for labels in self._several for label in labels], dtype=torch.int64)

    @cached_property
    def video(self) -> Int64[Tensor, " L"] | None:
        """Whose they are; None where every video has one."""
        if isinstance(self.records, VideoRecords):
            num_labels = self.records.label_ends.diff(prepend=torch.zeros(1, dtype=torch.int64))
        else:
            num_labels = torch.tensor([len(labels) for labels in self._several], dtype=torch.int64)
        if not len(num_labels) or bool((num_labels == 1).all()):
            return None
        return torch.arange(self.num_videos).repeat_interleave(num_labels)

    @cached_property
    def num_videos_of(self) -> Int64[Tensor, " K"]:
        """How many videos have each class."""
        return class_counts(self.records, num_classes=self.num_classes)

    @cached_property
    def by_class(self) -> Integer[Tensor, " L"]:
        """The videos of class 0, those of class 1, and so on; in half the memory."""
        place = self.label.argsort(stable=True)
        return (place if self.video is None else self.video[place]).int()

    @property
    def _several(self) -> list[tuple[int, ...]]:
        labels = [record.label for record in self.records]
        return [label if isinstance(label, tuple) else (label,) for label in labels]


class TrainOrder(ABC):
    """Which video each of the N places of an epoch has: a function of labels, seed and epoch alone.

    A subclass may be one's own. What is drawn must follow from the arguments, so that every process, and a
    run that goes on, has the same order; a video may come several times, and has other clips each time.
    """

    @abstractmethod
    def __call__(self, labels: ListLabels, *, seed: int, epoch: int) -> Int64[Tensor, " N"]:
        """Return the index of the video at each place."""

    def class_shares(self, labels: ListLabels, *, epoch: int) -> Float64[Tensor, " K"] | None:
        """Return the expected share of each class in an epoch, where that is known."""
        return None

    @property
    def fingerprint(self) -> str:
        """What tells this order from others: the class and its plain settings."""
        plain = {name: value for name, value in sorted(vars(self).items()) if _is_plain(value)}
        return f"{type(self).__module__}.{type(self).__qualname__} {json.dumps(plain)}"


class ClassDraws(TrainOrder):
    """Draw a class, then one of its videos, both with replacement, N times.

    So a video of a rare class comes several times in an epoch, and of a common one some do not come. Of
    videos that have several classes each class is drawn as if it were alone; those of no class do not come.
    """

    @abstractmethod
    def class_probabilities(self, num_videos: Float64[Tensor, " K"], *, epoch: int) -> Float64[Tensor, " K"]:
        """Return p_k of classes that n_k videos have each; of a class without a video it is 0."""

    def class_shares(self, labels: ListLabels, *, epoch: int) -> Float64[Tensor, " K"]:
        return self.class_probabilities(labels.num_videos_of.double(), epoch=epoch)

    def __call__(self, labels: ListLabels, *, seed: int, epoch: int) -> Int64[Tensor, " N"]:
        num_videos = labels.num_videos_of
        first = num_videos.cumsum(0) - num_videos
        up_to = self.class_shares(labels, epoch=epoch).cumsum(0)
        up_to /= up_to[-1].item()
        generator = torch.Generator().manual_seed(mixed(seed, epoch))
        order = torch.empty(labels.num_videos, dtype=torch.int64)
        for part in order.split(DRAWS_AT_ONCE):
            u, v = torch.rand(2, len(part), dtype=torch.float64, generator=generator)
            k = torch.searchsorted(up_to, u, right=True)
            part.copy_(labels.by_class[first[k] + (v * num_videos[k]).long()])
        return order


class ClassBalanced(ClassDraws):
    """Every class as often as any other: p_k = 1/K, K the classes that have a video.

    Equation 1 of Kang et al. (arXiv:1910.09217), p_k = n_k^q / sum_i n_i^q, with q = 0.
    """

    def class_probabilities(self, num_videos: Float64[Tensor, " K"], *, epoch: int) -> Float64[Tensor, " K"]:
        return powers(num_videos, q=0.0)


class SquareRoot(ClassDraws):
    """Rare classes more often than they are, common ones still more: p_k = sqrt(n_k) / sum_i sqrt(n_i).

    Mahajan et al. (arXiv:1805.00932); equation 1 of Kang et al. (arXiv:1910.09217) with q = 1/2.
    """

    def class_probabilities(self, num_videos: Float64[Tensor, " K"], *, epoch: int) -> Float64[Tensor, " K"]:
        return powers(num_videos, q=0.5)


class ProgressivelyBalanced(ClassDraws):
    """From classes as they are to balanced ones: p_k = (1 - t/T) n_k / n + t/T 1/K in epoch t of T.

    Equation 2 of Kang et al. (arXiv:1910.09217).

    Args:
        num_epochs: T; the run's trainer.max_epochs.
    """

    def __init__(self, num_epochs: int) -> None:
        if num_epochs < 1:
            raise ValueError(f"data.train_order.num_epochs is {num_epochs}; expected at least 1")
        self.num_epochs = num_epochs

    def class_probabilities(self, num_videos: Float64[Tensor, " K"], *, epoch: int) -> Float64[Tensor, " K"]:
        progress = min(epoch / self.num_epochs, 1.0)
        return (1 - progress) * powers(num_videos, q=1.0) + progress * powers(num_videos, q=0.0)


def powers(num_videos: Float64[Tensor, " K"], *, q: float) -> Float64[Tensor, " K"]:
    """Return n_k^q / sum_i n_i^q, over the classes that have a video."""
    power = torch.where(num_videos > 0, num_videos**q, 0.0)
    return power / power.sum()


class DrawnOrder(EpochOrder):
    """The order of a TrainOrder, of which process r of R takes every R-th place, beginning with r.

    Args:
        draws: The order of an epoch.
        labels: Those of the videos.
        settings: Those of EpochOrder.
    """

    def __init__(self, draws: TrainOrder, labels: ListLabels, **settings: Any) -> None:
        super().__init__(labels.num_videos, **settings)
        self.draws = draws
        self.labels = labels

    @property
    def fingerprint(self) -> str:
        return self.draws.fingerprint

    def indices(self) -> Int64[Tensor, " N"]:
        order = self.draws(self.labels, seed=self.seed, epoch=self.epoch)
        last = self.num_videos - 1
        if order.shape != (self.num_videos,) or order.dtype != torch.int64:
            raise ValueError(
                f"data.train_order {type(self.draws).__name__} gives {order.dtype} {list(order.shape)}; "
                f"expected the index of a video for each of {self.num_videos} places, as int64"
            )
        if not 0 <= int(order.min()) <= int(order.max()) <= last:
            raise ValueError(
                f"data.train_order {type(self.draws).__name__} names videos {int(order.min())} to "
                f"{int(order.max())}; expected 0..{last}"
            )
        return order[self.share]

    def moment(self, epoch: int, place: int) -> Moment:
        return epoch, self.share.start + place * self.share.step

    def described(self) -> str:
        """Return what an epoch has of the commonest and of the rarest class."""
        labels, draws = self.labels, self.draws
        first, last = (draws.class_shares(labels, epoch=epoch) for epoch in (0, FAR))
        name = f"data.train_order {type(draws).__name__}"
        if first is None or last is None:
            return f"{name}: an epoch reads {self.num_videos} times a video, in an order of its own"
        listed = labels.num_videos_of / labels.num_videos_of.sum()
        rarest = int(listed.where(listed > 0, 2.0).argmin())
        said = [
            f"{labels.class_names[k]}, {listed[k]:.1%} of the list, is {first[k]:.1%}"
            + (f" at first and {last[k]:.1%} at the end" if first[k] != last[k] else "")
            for k in (int(listed.argmax()), rarest)
        ]
        return (
            f"{name}: an epoch draws {self.num_videos} times a video, with replacement; the commonest class, "
            f"{said[0]} of it, and the rarest, {said[1]}"
        )


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))
