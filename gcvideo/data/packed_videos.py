"""Videos of lists that lie in the shards of data_prep/pack.py, read as if they were files."""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os.path import abspath
from pathlib import Path
from typing import Any

import numpy as np

from gcvideo.data.decoding import DecodeError, VideoReader
from gcvideo.data.decoding.byte_ranges import PAGES, ByteRange, ByteRanges, together
from gcvideo.data.decoding.index import index_stream
from gcvideo.data.decoding.pyav import PyAVReader
from gcvideo.data.lists.records import NO_CHECKSUM, VideoRecords
from gcvideo.shards import BrokenShardError, MemberFile, Shards, Whereabouts
from gcvideo.shards.index import BLOCK_BYTES
from gcvideo.shards.members import MOST_BETWEEN
from gcvideo.shards.patience import Patience
from gcvideo.shards.places import is_address

log = logging.getLogger(__name__)

GB = 10**9


@dataclass(frozen=True)
class PackedSet:
    """Where the shards of data_prep/pack.py lie that hold the videos, and how they are read from there.

    Args:
        address: A folder; the address of one on a web server that honours byte ranges (http://, https://);
            or any of fsspec's, as s3://bucket/folder (`pip install gcvideo[s3]`) or gs://bucket/folder. By
            default data.videos.
        options: What fsspec's library is made with, as {endpoint_url: ..., anon: true} of s3fs. Keys and
            passwords belong into the environment or the library's own files: a run keeps its settings.
        cache: Folder on a disk of this machine that keeps what was fetched, for all processes. Without, every
            epoch fetches anew.
        cache_gb: The most that is kept there, in 10^9 bytes; what was read longest ago goes first.
        timeout_seconds: How long one answer may take.
        give_up_seconds: For how long what fails (no connection, 503) is asked for again, after longer and
            longer waits; then the run ends, and `--resume auto` goes on exactly.
    """

    address: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    cache: Path | None = None
    cache_gb: float = 50.0
    timeout_seconds: float = 20.0
    give_up_seconds: float = 300.0

    def require_possible(self) -> None:
        """Check the settings; not when they are parsed, where the reason would be one of several types.

        Raises:
            ValueError: A limit is not above 0, or the cache is no folder here.
        """
        for name in ("cache_gb", "timeout_seconds", "give_up_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"data.shards.{name} is {getattr(self, name)}; expected more than 0")
        if self.cache is not None and self.cache.exists() and not self.cache.is_dir():
            raise ValueError(f"data.shards.cache is {self.cache}, which is no folder")


class PackedVideos:
    """Opens listed videos, by the path that they would have as files.

    Args:
        settings: Where the shards are.
        videos: Folder that the paths in lists are relative to.
    """

    def __init__(self, settings: PackedSet, *, videos: Path) -> None:
        settings.require_possible()
        self.settings = settings
        self.root = abspath(videos)  # noqa: PTH100 (lexical, as the paths of records)
        self._last: tuple[Path, MemberFile] | None = None

    @cached_property
    def shards(self) -> Shards:
        """The members of the set; its index is read when it is first asked for.

        Raises:
            ValueError: There is no index, or it cannot be read.
        """
        settings = self.settings
        whereabouts = Whereabouts(
            settings.address or self.root,
            patience=Patience(settings.timeout_seconds, settings.give_up_seconds),
            options=settings.options,
            cache=settings.cache.expanduser() if settings.cache else None,
            cache_bytes=int(settings.cache_gb * GB),
        )
        shards = Shards(whereabouts, whereabouts.index())
        if is_address(whereabouts.address) and settings.cache is None:
            log.info("%s: videos are fetched anew in every epoch; data.shards.cache keeps them", shards.shown)
        return shards

    def __call__(self, path: Path) -> VideoReader:
        """Open a video.

        Raises:
            DecodeError: No shard has it, or it cannot be read.
            UnreachableError: The shards cannot be reached.
        """
        try:
            member = self._member(path)
            content = _Named(member.read_whole(), name=str(path))
        except BrokenShardError as error:
            raise DecodeError(f"{path}: {error}") from error
        return PyAVReader(index_stream(path, content))

    def crc32(self, path: Path) -> int:
        """Return the checksum of a video when it was packed; what is read of it is held to it."""
        try:
            return self._member(path).member.crc32
        except BrokenShardError as error:
            raise DecodeError(f"{path}: {error}") from error

    def bytes_of(self, path: Path) -> ByteRanges:
        """Return what reads parts of a video.

        Raises:
            DecodeError: No shard has it.
        """
        try:
            return _Parts(self._member(path), most_between=self._most_between)
        except BrokenShardError as error:
            raise DecodeError(f"{path}: {error}") from error

    @cached_property
    def _most_between(self) -> int:
        """Bytes between two parts up to which one request fetches both."""
        return MOST_BETWEEN * BLOCK_BYTES if is_address(self.shards.whereabouts.address) else PAGES

    def missing(self, records: VideoRecords) -> tuple[list[int], str]:
        """Return which of the records cannot be read, without reading them, in order, and why.

        Raises:
            ValueError: There is no index, or it cannot be read.
            UnreachableError: The shards cannot be reached.
        """
        index, broken = self.shards.index, self.shards.broken
        # Of each record the row of its member, or that of another path
        keys = np.fromiter(map(hash, index.paths), np.int64, len(index))
        order = np.argsort(keys)
        rows = order[np.searchsorted(keys, records.keys, sorter=order).clip(max=len(index) - 1)]
        # What is wrong with it
        absent = keys[rows] != records.keys
        listed = records.checksums
        changed = ~absent & (listed != NO_CHECKSUM) & (listed != index.checksums[rows])
        lost = ~absent & ~changed & np.isin(index.shard_numbers[rows], list(broken))
        reasons = {
            f"{absent.sum():,} are no members of {index.name}": absent,
            f"{changed.sum():,} were other files when they were packed, by their checksums": changed,
            f"{lost.sum():,} lie in shards that are not whole, as {next(iter(broken.values()), '')}": lost,
        }
        why = "; ".join(reason for reason, found in reasons.items() if found.any())
        return np.flatnonzero(absent | changed | lost).tolist(), why

    def _member(self, path: Path) -> MemberFile:
        if self._last is None or self._last[0] != path:  # one video is asked for several times in turn
            name = str(path).removeprefix(self.root.rstrip("/") + "/")
            self._last = path, self.shards.open(name)
        return self._last[1]


class _Parts(ByteRanges):
    """Parts of a member, whose checksums the reader has; one that cannot be read is an OSError.

    Where the reader finds a part not as it was packed, reading all of the member says which.
    """

    def __init__(self, member: MemberFile, *, most_between: int) -> None:
        self._member = member
        self._most_between = most_between
        self.num_bytes = member.num_bytes

    def read(self, ranges: Sequence[ByteRange]) -> list[memoryview]:
        try:
            if self._member.is_kept:
                return self._member.read(ranges)
            parts = dict[ByteRange, memoryview]()
            for whole, inside in together(ranges, most_between=self._most_between):
                content = memoryview(self._member.read_as_is(*whole))
                for part in inside:
                    parts[part] = content[part.start - whole.start : part.end - whole.start]
            return [parts[part] for part in ranges]
        except BrokenShardError as error:
            raise OSError(str(error)) from error

    def close(self) -> None:
        pass


class _Named(io.BytesIO):
    """A file's bytes; FFmpeg guesses formats from names, too."""

    def __init__(self, content: memoryview, *, name: str) -> None:
        super().__init__(content)
        self.name = name
