"""The packet index of a data set: one file beside its lists, which all processes map and none loads.

header      MAGIC, the number of videos N, the number of bytes of the file
keys        N x uint64, ascending: `key_of` each path
ends        N x uint64: where each row ends, from the end of this table
rows        one behind the other (packet_row.py)
"""

import hashlib
import logging
import mmap
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from gcvideo.atomic import replacing

PACKET_INDEX = "packets.index"
"""The name of the file, in the folder of the lists that it is of."""
MAGIC = b"gcvideo packets\x01"
"""The last byte is the version of the format."""
HEADER = struct.Struct("<16sQQ")
WORD = np.dtype("<u8")

log = logging.getLogger(__name__)


class PacketFile:
    """The rows of a packet index.

    It holds nothing of the file but its map. Another process that is given it maps the file itself.

    Raises:
        OSError: There is no such file, or it cannot be mapped.
        ValueError: It is cut off, of another version, or something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(HEADER.size)
            _require_whole(start, size)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if hasattr(mmap, "MADV_RANDOM"):
            self._map.madvise(mmap.MADV_RANDOM)
        _, num_videos, _ = HEADER.unpack(start)
        self._keys = np.frombuffer(self._map, WORD, num_videos, HEADER.size)
        self._ends = np.frombuffer(self._map, WORD, num_videos, HEADER.size + self._keys.nbytes)
        self._first = HEADER.size + 2 * self._keys.nbytes

    def __len__(self) -> int:
        return len(self._keys)

    def row(self, path: str) -> bytes | None:
        """Return the row of a video, by its path as the lists write it, or None."""
        key = key_of(path)
        place = int(self._keys.searchsorted(key))
        if place == len(self) or self._keys[place] != key:
            return None
        start = int(self._ends[place - 1]) if place else 0
        return self._map[self._first + start : self._first + int(self._ends[place])]

    def places(self) -> "dict[int, RowPlace]":
        """Return where the row of each key lies."""
        starts = self._first + np.concatenate([[0], self._ends[:-1]]).astype(np.int64)
        sizes = np.diff(self._ends, prepend=WORD.type(0))
        rows = zip(self._keys.tolist(), starts.tolist(), sizes.tolist(), strict=True)
        return {key: RowPlace(self.path, start, size) for key, start, size in rows}

    def __reduce__(self) -> tuple[Callable[[Path], "PacketFile | None"], tuple[Path]]:
        return mapped, (self.path,)


def mapped(path: Path) -> PacketFile | None:
    """Return a packet index, or None, with a warning, if there is one that cannot be used."""
    try:
        return PacketFile(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        log.warning(
            "%s: %s; every video is demuxed when it is opened, which takes longer; run data_prep/verify.py "
            "again to write it",
            path,
            reason,
        )
        return None


def key_of(path: str) -> np.uint64:
    """Return a hash of a path, the same for two ways to write it."""
    normal = os.path.normpath(path).encode(errors="surrogateescape")
    return np.frombuffer(hashlib.blake2b(normal, digest_size=8).digest(), WORD)[0]


def _require_whole(start: bytes, size: int) -> None:
    if len(start) < HEADER.size or start[: len(MAGIC) - 1] != MAGIC[:-1]:
        raise ValueError("is no packet index")
    magic, _, num_bytes = HEADER.unpack(start)
    if magic != MAGIC:
        raise ValueError(f"is a packet index of version {magic[-1]}, and {MAGIC[-1]} is read here")
    if size != num_bytes:
        raise ValueError(f"has {size:,} of {num_bytes:,} bytes")


class RowPlace(NamedTuple):
    """Where a row lies."""

    file: Path
    start: int
    size: int


def write_packet_file(target: Path, rows: Mapping[int, RowPlace]) -> None:
    """Write the rows of videos, by the keys of their paths, that lie in other files."""
    keys = np.array(list(rows), WORD)
    order = keys.argsort()
    places = list(rows.values())
    ends = np.array([places[each].size for each in order], WORD).cumsum(dtype=WORD)
    num_bytes = HEADER.size + 2 * keys.nbytes + int(ends[-1] if len(ends) else 0)
    opened: dict[Path, BinaryIO] = {}
    with replacing(target) as partial:
        try:
            with partial.open("wb") as file:
                file.write(HEADER.pack(MAGIC, len(keys), num_bytes))
                file.write(keys[order].tobytes() + ends.tobytes())
                for each in order:
                    source, start, size = places[each]
                    if source not in opened:
                        opened[source] = source.open("rb")
                    file.write(os.pread(opened[source].fileno(), size, start))
        finally:
            for part in opened.values():
                part.close()
