"""Shards: plain tar files of videos, the same bytes whenever the same videos are packed."""

import hashlib
import json
import os
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gcvideo.atomic import replacing
from gcvideo.shards.index import BLOCK_BYTES

Row = dict[str, Any]


class Video(NamedTuple):
    """One video to pack."""

    path: str
    """Below the root, as the member is called."""
    file: Path
    size: int
    crc32: int
    """As it was verified."""


class ShardTask(NamedTuple):
    """One shard to write."""

    path: str
    """Its file name."""
    target: Path
    partial: Path
    videos: Sequence[Video]

    @property
    def content(self) -> str:
        """Return a digest of what is to be in it."""
        stated = [BLOCK_BYTES, *((video.path, video.size, video.crc32) for video in self.videos)]
        return hashlib.sha256(json.dumps(stated).encode()).hexdigest()


class ChangedError(Exception):
    """A video is not what was verified."""


def divided(videos: Sequence[Video], *, shard_bytes: int) -> list[list[Video]]:
    """Return the videos of each shard, in order: as many as fit, and at least one."""
    shards: list[list[Video]] = []
    room = 0
    for video in videos:
        if not shards or video.size > room:
            shards.append([])
            room = shard_bytes
        shards[-1].append(video)
        room -= video.size
    return shards


def write_shard(task: ShardTask) -> Iterator[Row]:
    """Write one shard, unless a video of it is not what was verified.

    Yields:
        {"num_bytes": of the shard, "members": [[offset, checksums of blocks], ...]} when it bears its name,
        {"bad": [[path, reason], ...]}, or {"unwritable": reason}.
    """
    bad: list[tuple[str, str]] = []
    members: list[tuple[int, list[int]]] = []
    try:
        with replacing(task.target, partial=task.partial) as partial:
            with tarfile.TarFile(partial, "w", format=tarfile.PAX_FORMAT, copybufsize=BLOCK_BYTES) as archive:
                for video in task.videos:
                    try:
                        members.append(_add(archive, video))
                    except ChangedError as error:  # the others are looked at, so that all bad ones are named
                        bad.append((video.path, str(error)))
            num_bytes = partial.stat().st_size
            if bad:
                raise ChangedError
    except ChangedError:
        yield {"bad": bad}
    except OSError as error:
        yield {"unwritable": error.strerror or str(error)}
    else:
        yield {"num_bytes": num_bytes, "members": members}


def _add(archive: tarfile.TarFile, video: Video) -> tuple[int, list[int]]:
    """Add a video; return where its first byte stands, and the checksum of each of its blocks."""
    header = tarfile.TarInfo(video.path)  # owner 0, time 0, mode 644
    header.size = video.size
    try:
        source = _Source(video.file)
    except OSError as error:
        raise ChangedError(error.strerror) from error
    with source:
        if source.size != video.size:
            raise ChangedError(f"has {source.size} bytes, and had {video.size} before")
        archive.addfile(header, source)  # pyright: ignore[reportArgumentType] (all that it asks for is read)
    if source.crc32 != video.crc32:
        raise ChangedError(f"its checksum is {source.crc32}, and was {video.crc32} when it was verified")
    padded = -(-video.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    return archive.offset - padded, source.blocks


class _Source:
    """A file that is read once from its start to its end, block by block, and its checksums."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("rb", buffering=0)
        self.size = os.fstat(self._file.fileno()).st_size
        self.crc32 = 0
        self.blocks: list[int] = []

    def read(self, num_bytes: int) -> bytes:
        parts, missing = [], num_bytes
        try:
            while missing and (part := self._file.read(missing)):
                parts.append(part)
                missing -= len(part)
        except OSError as error:
            raise ChangedError(f"cannot be read to its end ({error.strerror})") from error
        if missing:
            raise ChangedError("became shorter while it was read")
        block = b"".join(parts)
        self.crc32 = zlib.crc32(block, self.crc32)
        self.blocks.append(zlib.crc32(block))
        return block

    def __enter__(self) -> "_Source":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
