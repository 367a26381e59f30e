"""Where shards lie: a folder, a web server, or an address of fsspec's."""

import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from gcvideo.shards.errors import BrokenShardError

MOST_OPEN = 32
"""Shards of a folder that a process holds open."""


@runtime_checkable
class Place(Protocol):
    """Files in one place. Made in the process that uses it, since connections do not survive a fork."""

    def size(self, name: str) -> int:
        """Return the bytes of a file.

        Raises:
            BrokenShardError: It is not there, or may not be read.
            TryAgainError: There was no answer.
        """
        ...

    def read(self, name: str, start: int, end: int) -> bytes:
        """Return bytes `start` to `end` of a file, without the last.

        Raises:
            BrokenShardError: They are not there, or may not be read.
            TryAgainError: They did not come.
        """
        ...


class Folder(Place):
    """A folder on a disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: OrderedDict[str, int] = OrderedDict()

    def size(self, name: str) -> int:
        try:
            return (self.folder / name).stat().st_size
        except OSError as error:
            raise BrokenShardError(error.strerror) from error

    def read(self, name: str, start: int, end: int) -> bytes:
        try:
            descriptor = self._descriptor(name)
            content = os.pread(descriptor, end - start, start)
            while len(content) < end - start:  # the system gives 2 GB at once at most
                more = os.pread(descriptor, end - start - len(content), start + len(content))
                if not more:
                    raise BrokenShardError(f"ends after {start + len(content):,} bytes")
                content += more
        except OSError as error:
            raise BrokenShardError(error.strerror) from error
        return content

    def _descriptor(self, name: str) -> int:
        if name in self._open:
            self._open.move_to_end(name)
            return self._open[name]
        while len(self._open) >= MOST_OPEN:
            os.close(self._open.popitem(last=False)[1])
        self._open[name] = os.open(self.folder / name, os.O_RDONLY | os.O_CLOEXEC)
        return self._open[name]

    def close(self) -> None:
        """Let go of all files."""
        while self._open:
            os.close(self._open.popitem()[1])

    def __del__(self) -> None:
        self.close()


def is_address(text: str) -> bool:
    """Return whether a place is not a folder here."""
    return "://" in text and not text.startswith("file://")


def place_at(address: str, *, timeout_seconds: float, options: Mapping[str, Any]) -> Place:
    """Return the place of an address.

    Raises:
        ValueError: Nothing that is installed reads such addresses.
    """
    if not is_address(address):
        return Folder(Path(address.removeprefix("file://")).expanduser())
    if address.startswith(("http://", "https://")):
        from gcvideo.shards.web import WebFolder

        return WebFolder(address, timeout_seconds=timeout_seconds)

    from gcvideo.shards.object_store import ObjectStore

    return ObjectStore(address, timeout_seconds=timeout_seconds, options=options)
