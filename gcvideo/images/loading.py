"""Batches of pictures in the order of an epoch, from any batch on."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch.utils.data import DataLoader, Dataset

from gcvideo.data.dataset import EpochOrder, Moment
from gcvideo.data.random_state import RandomState, kept


@runtime_checkable
class Pictures(Protocol):
    """Pictures of a set, ready to be put together in a batch."""

    @property
    def names(self) -> Sequence[str]:
        """Return the pictures by name, in the order of their indices."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any:
        """Return a picture and what is known of it; ValueError, with its name, if it cannot be read."""
        ...


class Refused(NamedTuple):
    """Why a picture could not be read; an exception would come with the traceback of a loader process."""

    reason: str


class PictureLoader:
    """The batches of one epoch after another.

    Which pictures stand in batch k of epoch e, and all that augmentations draw for them, follows from seed, e
    and k alone, not from what was read before or by how many processes.

    Args:
        pictures: The set.
        order: The order of each epoch. As `sampler`, where Lightning finds it to set the epoch.
        batch_size: Pictures in a batch.
        drop_last: Leave out a last batch of fewer pictures.
        collate: Puts items of the set together in a batch.
        seed: What all draws derive from, with the epoch and the picture's index.
        num_workers: Processes that read; with 0 this one does.
        pin_memory: Put batches into page-locked memory.
    """

    def __init__(
        self,
        pictures: Pictures,
        *,
        order: EpochOrder,
        batch_size: int,
        drop_last: bool,
        collate: Callable[[list[Any]], Any],
        seed: int,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        self.dataset = pictures
        self.sampler = order
        self.batch_sampler = None  # Lightning asks for one wherever there is a sampler
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.seed = seed
        self._first_batch = 0
        self._reader = DataLoader(
            _DrawnPictures(pictures, seed=seed),
            batch_sampler=_Keys(self),  # pyright: ignore[reportArgumentType]  (keys in place of indices)
            num_workers=num_workers,
            collate_fn=_CollateUnlessRefused(collate),
            pin_memory=pin_memory,
            persistent_workers=num_workers > 0,
        )

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch."""
        whole, rest = divmod(len(self.sampler), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    @cached_property
    def order_fingerprint(self) -> str:
        """Return what the order of every epoch follows from: equal for equal pictures and seed."""
        found = hashlib.sha256(str(self.seed).encode())
        for name in self.dataset.names:
            found.update(f"\0{name}".encode(errors="surrogateescape"))
        return found.hexdigest() + self.sampler.fingerprint

    def skip(self, num_batches: int) -> None:
        """Leave out this many batches of the iteration that begins next, without reading them."""
        if not 0 <= num_batches <= len(self):
            raise ValueError(f"skip {num_batches} batches was asked for, and an epoch has {len(self)}")
        self._first_batch = num_batches

    def keys(self) -> Iterator[list[tuple[Moment, int]]]:
        """Yield the keys of the batches of the present epoch, from where the iteration begins."""
        numbers, epoch, order = (
            range(self._first_batch, len(self)),
            self.sampler.epoch,
            self.sampler.indices(),
        )
        self._first_batch = 0
        for number in numbers:
            first = number * self.batch_size
            yield [(epoch, index) for index in order[first : first + self.batch_size].tolist()]

    def __iter__(self) -> Iterator[Any]:
        """Yield the epoch's batches.

        It begins with the first `next()`: Lightning sets the epoch only after it has asked for the iterator.

        Raises:
            ValueError: A picture cannot be read.
        """
        with kept():  # a DataLoader draws a number whenever it begins
            batches = iter(self._reader)
        for batch in batches:
            if isinstance(batch, Refused):
                raise ValueError(batch.reason)
            yield batch


class _Keys:
    """The keys of an epoch's batches, whenever the reader begins one."""

    def __init__(self, loader: PictureLoader) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[list[tuple[Moment, int]]]:
        return self.loader.keys()

    def __len__(self) -> int:
        return len(self.loader)


class _DrawnPictures(Dataset[Any]):
    """Pictures whose draws follow from seed, epoch and index."""

    def __init__(self, pictures: Pictures, *, seed: int) -> None:
        self.pictures = pictures
        self.seed = seed

    def __getitem__(self, key: tuple[int, int]) -> Any:
        epoch, index = key
        with kept():
            RandomState.of(self.seed, epoch, index).use()
            try:
                return self.pictures[index]
            except (ValueError, OSError) as error:
                return Refused(str(error))


class _CollateUnlessRefused:
    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, items: list[Any]) -> Any:
        refused = next((item for item in items if isinstance(item, Refused)), None)
        return refused if refused is not None else self.collate(items)
