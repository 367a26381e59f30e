"""Bytes of shards that are kept on a disk of this machine, for all its processes."""

import fcntl
import hashlib
import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

USAGE = "usage"
"""File that says how many bytes the cache has; it is locked by whoever changes what is kept."""
EMPTIED_TO = 0.9
"""Share of the limit that is left when there is no room."""
DISK_BLOCK = 4096


class Kept(NamedTuple):
    """One file of the cache."""

    used_ns: int
    """When bytes of it were last read or written."""
    num_bytes: int
    """On the disk: a file has holes where nothing was written."""
    path: str


class BlockCache:
    """Parts of members, a file each, with holes where nothing was fetched; those read longest ago go first.

    Nothing says which parts are there, or whole: readers compare checksums, so that no kill, no other process
    and no full disk leaves anything wrong behind. Never more than the limit is kept, however many
    processes write.

    Args:
        folder: Where; one limit holds for all that lies there.
        max_bytes: The limit.
        name: Of the set of shards, of which others may lie there too.
    """

    def __init__(self, folder: Path, *, max_bytes: int, name: str) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._set = folder / hashlib.sha256(name.encode()).hexdigest()[:12]
        self._is_full = False

    def read(self, path: str, start: int, size: int) -> bytes:
        """Return bytes of a member; fewer, or zeros, where they are not kept."""
        try:
            descriptor = os.open(self._file(path), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            content = os.pread(descriptor, size, start)
            os.utime(descriptor)
            return content
        except OSError as error:
            log.debug("%s: %s", self._file(path), error)
            return b""
        finally:
            os.close(descriptor)

    def write(self, path: str, start: int, content: bytes) -> None:
        """Keep bytes of a member."""
        num_bytes = -(-len(content) // DISK_BLOCK) * DISK_BLOCK
        if self._is_full or num_bytes > self.max_bytes:
            return
        file = self._file(path)
        try:
            with self._locked() as usage:
                used = _number(usage)
                if used + num_bytes > self.max_bytes:
                    used = self._make_room(int(EMPTIED_TO * self.max_bytes) - num_bytes)
                # First, lest a kill leave it too low
                os.pwrite(usage, struct.pack("<q", used + num_bytes), 0)
                file.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
                try:
                    os.pwrite(descriptor, content, start)
                finally:
                    os.close(descriptor)
        except OSError as error:
            self._is_full = True
            log.warning("%s: %s; nothing more is kept there by this process", self.folder, error.strerror)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        self.folder.mkdir(parents=True, exist_ok=True)
        usage = os.open(self.folder / USAGE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(usage, fcntl.LOCK_EX)
            yield usage
        finally:
            os.close(usage)

    def _make_room(self, max_bytes: int) -> int:
        """Delete what was used longest ago until no more than this is left; return how much that is."""
        kept = sorted(self._kept())
        left = sum(file.num_bytes for file in kept)
        for file in kept:
            if left <= max_bytes:
                break
            os.unlink(file.path)  # noqa: PTH108
            left -= file.num_bytes
        return left

    def _kept(self) -> Iterator[Kept]:
        for folder, _, names in os.walk(self.folder):
            for name in names:
                if name != USAGE:
                    path = os.path.join(folder, name)  # noqa: PTH118
                    status = os.stat(path)  # noqa: PTH116
                    yield Kept(status.st_mtime_ns, 512 * status.st_blocks, path)

    def _file(self, path: str) -> Path:
        digest = hashlib.sha256(path.encode()).hexdigest()
        return self._set / digest[:2] / digest[2:32]


def _number(descriptor: int) -> int:
    content = os.pread(descriptor, 8, 0)
    return struct.unpack("<q", content)[0] if len(content) == 8 else 0
