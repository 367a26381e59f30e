"""Rows of the packet index, kept as videos are verified, until the index of all is written."""

import hashlib
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from data_prep.running.journal import JOURNALS, FileState
from data_prep.running.shards import Shard
from gcvideo.data.decoding.packet_file import (
    MAGIC,
    PACKET_INDEX,
    PacketFile,
    RowPlace,
    key_of,
    write_packet_file,
)

PART = struct.Struct("<8s16sQ?")
"""Begins a part: MARK, the video and how it looked, the bytes of its row, and whether that opens it."""
MARK = b"packets" + MAGIC[-1:]
"""The rows of another version are made anew."""


class _Part(NamedTuple):
    row: RowPlace
    opens: bool


NO_PART = _Part(RowPlace(Path(), 0, 0), opens=False)


class PacketParts:
    """Rows that were made, over all shards: each appends to a file of its own, and reads those of the others.

    Args:
        folder: The output folder of the step.
        shard: Whose file to append to; its journal's lock keeps others away.
    """

    def __init__(self, folder: Path, *, shard: Shard) -> None:
        journals = folder / JOURNALS
        journals.mkdir(parents=True, exist_ok=True)
        self._file = journals / f"verify.{shard.number}-of-{shard.num_shards}.packets"
        self._parts: dict[bytes, _Part] = {}
        for written in sorted(journals.glob("verify.*.packets")):
            end = self._read(written)
            if written == self._file:  # a part that was torn by a kill
                os.truncate(written, end)

    def _read(self, file: Path) -> int:
        """Take the parts of a file, and return where the last whole one ends."""
        start, size = 0, file.stat().st_size
        with file.open("rb") as parts:
            while len(head := os.pread(parts.fileno(), PART.size, start)) == PART.size:
                mark, video, num_bytes, opens = PART.unpack(head)
                end = start + PART.size + num_bytes
                if mark != MARK or end > size:
                    break
                self._parts[video] = _Part(RowPlace(file, start + PART.size, num_bytes), opens)
                start = end
        return start

    def has(self, path: str, state: FileState) -> bool:
        """Return whether the row of a video was made when it looked like this."""
        return _video(path, state) in self._parts

    def add(self, path: str, state: FileState, row: bytes) -> None:
        """Keep the row of a video; an empty one of what is no file."""
        opens = row[:1] == b"\0"
        with self._file.open("ab") as file:
            start = file.tell() + PART.size
            file.write(PART.pack(MARK, _video(path, state), len(row), opens) + row)
        self._parts[_video(path, state)] = _Part(RowPlace(self._file, start, len(row)), opens)

    def write_index(
        self, folder: Path, videos: Iterable[tuple[str, FileState]], *, bad: Iterable[str], root: Path
    ) -> int:
        """Write the packet index of a folder, and return how many videos of this run are opened by it.

        What it has of other videos, whose lists lie in the folder since an earlier run, stays.

        Args:
            folder: Where the lists are.
            videos: Those that can be read, by their paths, and what they look like.
            bad: Those that cannot.
            root: Folder that the paths are relative to.
        """
        target = folder / PACKET_INDEX
        rows = {}
        if target.exists():
            with suppress(ValueError):  # it is of another version, or damaged
                rows = PacketFile(target).places()
        for path in bad:
            rows.pop(int(key_of(_below(path, root))), None)
        found = 0
        for path, state in videos:
            place, opens = self._parts.get(_video(path, state), NO_PART)
            if place.size:
                rows[int(key_of(_below(path, root)))] = place
                found += opens
        if rows:
            write_packet_file(target, rows)
        return found


def _below(path: str, root: Path) -> str:
    """Return a path that may be absolute as one from the root, as training knows it."""
    return os.path.relpath(path, root) if os.path.isabs(path) else path  # noqa: PTH117


def _video(path: str, state: FileState) -> bytes:
    """Return what tells a video that looks like this from all others."""
    looks = repr((path, tuple(state))).encode(errors="surrogateescape")
    return hashlib.blake2b(looks, digest_size=16).digest()
