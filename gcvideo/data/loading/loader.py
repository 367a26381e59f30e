"""Batches of clips in the order of an epoch, from any batch on."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property

from jaxtyping import Int64
from torch import Tensor

from gcvideo.clip import ClipBatch
from gcvideo.data.dataset import EpochOrder, SampleKey, VideoDataset
from gcvideo.data.lists.records import order_digest
from gcvideo.data.loading.batch import ReadBatch, last_resort, read_batch
from gcvideo.data.loading.unreadable import UnreadablePolicy
from gcvideo.data.loading.workers import WorkerPool

log = logging.getLogger(__name__)


class VideoLoader:
    """The batches of one epoch after another.

    Which videos stand in batch k of epoch e, and every clip of them, follows from seed, e and k alone: not
    from what was read before, by how many processes, or which of them were lost. A video that cannot be read
    is missing from its batch; no other takes its place.

    Args:
        dataset: The videos.
        order: The order of each epoch. As `sampler`, where Lightning finds it to set the epoch.
        batch_size: Videos in a batch, unreadable ones among them.
        drop_last: Leave out a last batch of fewer videos.
        num_workers: Processes that read. With 0 the videos are read by this process: a decoder that hangs
            then ends the run, with the file's name.
        timeout_seconds: How long reading one video may take; 0 is for ever.
        unreadable: What becomes of videos that cannot be read.
        pin_memory: Put batches into page-locked memory.
    """

    def __init__(
        self,
        dataset: VideoDataset,
        *,
        order: EpochOrder,
        batch_size: int,
        drop_last: bool,
        num_workers: int = 0,
        timeout_seconds: float = 30.0,
        unreadable: UnreadablePolicy,
        pin_memory: bool = False,
    ) -> None:
        self.dataset = dataset
        self.sampler = order
        self.batch_sampler = None  # Lightning asks for one wherever there is a sampler
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.num_workers = num_workers
        self.timeout_seconds = timeout_seconds
        self.unreadable = unreadable
        self.pin_memory = pin_memory
        self._first_batch = 0
        self._pool: WorkerPool | None = None
        self.said: set[str] = set()
        """The decoders, and their reasons, that the log has named."""

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch.

        In evaluation it is at least one, if only of no video: a rank without a batch would not be there when
        the others put their figures together.
        """
        whole, rest = divmod(len(self.sampler), self.batch_size)
        return whole if self.drop_last else max(whole + (rest > 0), 1)

    @property
    def largest_batch(self) -> int:
        """Return the videos of the largest batch that any epoch has."""
        return self.batch_size

    @property
    def num_taking_turns(self) -> int:
        """Return after how many batches their shapes come again."""
        return 1

    def keys(self, epoch: int, number: int, order: Int64[Tensor, " N"]) -> list[SampleKey]:
        """Return the keys of batch `number` of an epoch whose videos stand in `order`."""
        first = number * self.batch_size
        videos = order[first : first + self.batch_size].tolist()
        return [(self.sampler.moment(epoch, place), index) for place, index in enumerate(videos, first)]

    @cached_property
    def order_fingerprint(self) -> str:
        """Return what the order of every epoch follows from: equal for equal videos, labels, seed, rule."""
        return order_digest(self.dataset.records, seed=self.sampler.seed) + self.sampler.fingerprint

    def skip(self, num_batches: int) -> None:
        """Leave out this many batches of the iteration that begins next, without reading them."""
        if not 0 <= num_batches <= len(self):
            raise ValueError(f"skip {num_batches} batches was asked for, and an epoch has {len(self)}")
        self._first_batch = num_batches

    def __iter__(self) -> Iterator[ClipBatch]:
        """Yield the epoch's batches.

        It begins with the first `next()`: Lightning sets the epoch only after it has asked for the iterator.
        """
        numbers = range(self._first_batch, len(self))
        self._first_batch = 0
        epoch, order = self.sampler.epoch, self.sampler.indices()
        # One after the other: a list of all would be millions of tuples.
        batches = (self.keys(epoch, number, order) for number in numbers)
        read_by: Counter[str] = Counter()
        for number, (batch, batch_read_by) in enumerate(self._read(batches), start=numbers.start):
            read_by += batch_read_by
            if batch.unreadable:
                self.unreadable.handle(batch.unreadable, epoch=self.sampler.epoch)
            if number == numbers[-1]:  # now, since Lightning does not ask for what is behind the last
                self._say(read_by)
            yield _pinned(batch) if self.pin_memory else batch

    def _say(self, read_by: Counter[str]) -> None:
        """Log who read the videos of the first whole pass, and of one that brings another decoder."""
        if not self.said or not read_by.keys() <= self.said:
            log.info("%s", describe(read_by))
            self.said |= read_by.keys() or {""}

    def _read(self, batches: Iterable[list[SampleKey]]) -> Iterator[ReadBatch]:
        if self.num_workers > 0:
            self._pool = self._pool or WorkerPool(
                self.dataset, num_workers=self.num_workers, timeout_seconds=self.timeout_seconds
            )
            yield from self._pool.read(batches)
            return
        records = self.dataset.records
        for keys in batches:
            yield read_batch(
                self.dataset,
                keys,
                watch=lambda index: last_resort(records[index].path, self.timeout_seconds),
                lost={},
            )


def _pinned(batch: ClipBatch) -> ClipBatch:
    return batch._replace(frames=batch.frames.pin_memory(), label=batch.label.pin_memory())


def describe(read_by: Counter[str]) -> str:
    """Return how many files each decoder read: "decord read 812 files (28: its codec is hevc), ..."."""
    totals: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {}
    for reader, number in read_by.items():
        name, _, reason = reader.partition(": ")
        totals[name] += number
        if reason:
            reasons.setdefault(name, Counter())[reason] += number
    parts = []
    for name, number in sorted(totals.items()):
        part = f"{name} read {number} files"
        if name in reasons:
            part += " (" + "; ".join(f"{n}: {reason}" for reason, n in reasons[name].most_common(3)) + ")"
        parts.append(part)
    return ", ".join(parts) or "no file was read"
