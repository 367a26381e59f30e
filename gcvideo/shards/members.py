"""The bytes of the videos in a set of shards, each of them checked."""

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from gcvideo.shards.cache import BlockCache
from gcvideo.shards.errors import BrokenShardError
from gcvideo.shards.index import BLOCK_BYTES, INDEX, Member, ShardIndex
from gcvideo.shards.patience import Patience
from gcvideo.shards.places import Place, is_address, place_at

MOST_BETWEEN = 4
"""Blocks between two that are fetched up to which one request fetches all: a wait costs more."""
THREADS = 16
"""That ask for the sizes of shards."""
BYTES_AT_ONCE = 1 << 23
"""Of an index."""


class Run(NamedTuple):
    """Blocks `first` to `end` of a member, without the last."""

    first: int
    end: int


@dataclass(frozen=True)
class Whereabouts:
    """Where shards lie, and how they are read from there."""

    address: str
    patience: Patience = field(default_factory=Patience)
    options: Mapping[str, Any] = field(default_factory=dict)
    cache: Path | None = None
    cache_bytes: int = 0

    def place(self) -> Place:
        """Return what reads there, for this process."""
        return place_at(self.address, timeout_seconds=self.patience.timeout_seconds, options=self.options)

    def index(self) -> ShardIndex:
        """Read the index.

        Raises:
            ValueError: It is not there, or is not one.
            UnreachableError: There was no answer.
        """
        if not is_address(self.address):
            return ShardIndex.read(Path(self.address.removeprefix("file://")).expanduser() / INDEX)
        place, name = self.place(), f"{self.shown}/{INDEX}"
        try:
            size = self.patience.ask(name, lambda: place.size(INDEX))
            starts = range(0, size, BYTES_AT_ONCE)
            parts = [
                self.patience.ask(name, partial(place.read, INDEX, start, min(start + BYTES_AT_ONCE, size)))
                for start in starts
            ]
        except BrokenShardError as error:
            raise ValueError(f"{name}: {error}; expected the index that data_prep/pack.py writes") from error
        return ShardIndex(pa.py_buffer(b"".join(parts)), name=name)

    @property
    def shown(self) -> str:
        """The address as messages show it: without who asks, or a signature."""
        scheme, mark, rest = self.address.rstrip("/").rpartition("://")
        return f"{scheme}{mark}{rest.partition('?')[0].rpartition('@')[2]}" if mark else rest


class Shards:
    """The members of a set of shards. It may be handed to other processes, each of which connects anew."""

    def __init__(self, whereabouts: Whereabouts, index: ShardIndex) -> None:
        self.whereabouts = whereabouts
        self.index = index
        self._place: Place | None = None
        self._place_of = 0
        cache, limit = whereabouts.cache, whereabouts.cache_bytes
        self.shown = whereabouts.shown
        self.cache = BlockCache(cache, max_bytes=limit, name=whereabouts.shown) if cache else None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_place": None}

    @property
    def place(self) -> Place:
        """What reads the shards, in this process."""
        if self._place is None or self._place_of != os.getpid():  # connections do not survive a fork
            self._place, self._place_of = self.whereabouts.place(), os.getpid()
        return self._place

    @cached_property
    def broken(self) -> dict[int, str]:
        """Position of each shard that is not there or has another size -> its name, and what is wrong.

        Raises:
            UnreachableError: There was no answer.
        """
        _ = self.place  # one for all threads
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(self._trouble, range(len(self.index.shards))))
        return {shard: trouble for shard, trouble in enumerate(found) if trouble is not None}

    def _trouble(self, shard: int) -> str | None:
        name, num_bytes = self.index.shards[shard]
        try:
            size = self.whereabouts.patience.ask(self.name_of(shard), lambda: self.place.size(name))
        except BrokenShardError as error:
            return f"{self.name_of(shard)}: {error}"
        if size != num_bytes:
            return f"{self.name_of(shard)}: has {size:,} bytes, and had {num_bytes:,}"
        return None

    def open(self, path: str) -> "MemberFile":
        """Open a member.

        Raises:
            BrokenShardError: There is none of this path.
        """
        member = self.index.find(path)
        if member is None:
            raise BrokenShardError(f"{self.index.name} has no member {path}; pack the list's videos again")
        return MemberFile(self, member)

    def name_of(self, shard: int) -> str:
        """Return the whole name of a shard."""
        return f"{self.whereabouts.shown}/{self.index.shards[shard].name}"


class MemberFile:
    """One video in a shard, of which parts are read (a ByteRanges).

    Raises:
        BrokenShardError: What is there is not what was packed; the message names shard and member.
        UnreachableError: It could not be had.
    """

    def __init__(self, shards: Shards, member: Member) -> None:
        self._shards = shards
        self.member = member
        self.num_bytes = member.size

    @property
    def name(self) -> str:
        """Shard and member, for messages."""
        return f"{self._shards.name_of(self.member.shard)}, member {self.member.path}"

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """Return the bytes of each range, from a start to an end that is not included."""
        runs = list(together(Run(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)) for start, end in ranges))
        contents = {run: memoryview(self._content(run)) for run in runs}
        parts = []
        for start, end in ranges:
            run = next(
                run for run in runs if run.first * BLOCK_BYTES <= start and end <= run.end * BLOCK_BYTES
            )
            first = run.first * BLOCK_BYTES
            parts.append(contents[run][start - first : end - first])
        return parts

    @property
    def is_kept(self) -> bool:
        """Whether there is a cache, which knows what it has by the checksums of blocks."""
        return self._shards.cache is not None

    def read_as_is(self, start: int, end: int) -> bytes:
        """Return bytes from a start to an end that is not included, for whoever has checksums of them."""
        if start == end:  # for which S3 would send the whole shard
            return b""
        shard, offset = self._shards.index.shards[self.member.shard].name, self.member.offset
        try:
            return self._shards.whereabouts.patience.ask(
                self.name, lambda: self._shards.place.read(shard, offset + start, offset + end)
            )
        except BrokenShardError as error:
            raise BrokenShardError(f"{self.name}: {error}; pack or fetch the shard again") from error

    def read_whole(self) -> memoryview:
        """Return all bytes."""
        return self.read([(0, self.num_bytes)])[0]

    def close(self) -> None:
        """Do nothing: shards are let go of with the process."""

    def _content(self, run: Run) -> bytes:
        """Return checked blocks, from the cache or else from the shard."""
        cache = self._shards.cache
        if cache is None:
            return self._fetched(run)
        start, end = self._bytes_of(run)
        kept = cache.read(self.member.path, start, end - start)
        missing = [block for block in range(*run) if not self._is_whole(block, run, kept)]
        if not missing:
            return kept
        content = bytearray(kept.ljust(end - start, b"\0"))
        for part in together(Run(block, block + 1) for block in missing):
            fetched = self._fetched(part)
            first, _ = self._bytes_of(part)
            content[first - start : first - start + len(fetched)] = fetched
            cache.write(self.member.path, first, fetched)
        return bytes(content)

    def _fetched(self, run: Run) -> bytes:
        """Return checked blocks from the shard; what is wrong is asked for once more."""
        wrong = [run.first]
        for _ in range(2):
            content = self.read_as_is(*self._bytes_of(run))
            wrong = [block for block in range(*run) if not self._is_whole(block, run, content)]
            if not wrong:
                return content
        raise BrokenShardError(
            f"{self.name}: is damaged from byte {wrong[0] * BLOCK_BYTES:,} on, its checksum is another; pack "
            "or fetch the shard again"
        )

    def _bytes_of(self, run: Run) -> tuple[int, int]:
        return run.first * BLOCK_BYTES, min(run.end * BLOCK_BYTES, self.num_bytes)

    def _is_whole(self, block: int, run: Run, content: bytes) -> bool:
        first = (block - run.first) * BLOCK_BYTES
        return zlib.crc32(memoryview(content)[first : first + BLOCK_BYTES]) == self.member.blocks[block]


def together(runs: Iterator[Run] | Sequence[Run]) -> Iterator[Run]:
    """Yield runs that hold these, in order; neighbours are one."""
    first = end = None
    for run in sorted(runs):
        if first is None or end is None:
            first, end = run
        elif run.first - end <= MOST_BETWEEN:
            end = max(end, run.end)
        else:
            yield Run(first, end)
            first, end = run
    if first is not None and end is not None:
        yield Run(first, end)
