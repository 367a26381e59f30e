"""What is done already: one line per finished item, on the disk before the next item begins."""

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from data_prep.running.shards import Shard

log = logging.getLogger(__name__)

JOURNALS = ".journal"
"""Name of the folder, in a step's output, that its journals lie in."""


class FileState(NamedTuple):
    """What an item looked like when its row was made; one that looks different is done again."""

    num_bytes: int
    modified_ns: int
    settings: str


def file_state(path: Path, settings: str = "") -> FileState:
    """Return the state of a file (-1, -1 if nothing can be read of it) and the settings of the step."""
    try:
        status = path.stat()
    except OSError:
        return FileState(-1, -1, settings)
    return FileState(status.st_size, status.st_mtime_ns, settings)


class Journal:
    """The finished items of one step, over all its shards.

    Each shard appends to a file of its own, so shards never wait for one another; all of them read
    every file, so the number of shards may change between runs, and a run without shards that
    comes last finds everything done and only writes the lists. A line torn by a kill is ignored.

    Args:
        folder: The step's output folder; journals lie in its `.journal/`.
        step: Name of the step.
        shard: Whose file to append to. It is locked: a second run of the same shard is refused.
    """

    def __init__(self, folder: Path, *, step: str, shard: Shard) -> None:
        journals = folder / JOURNALS
        journals.mkdir(parents=True, exist_ok=True)
        file = journals / f"{step}.{shard.number}-of-{shard.num_shards}.jsonl"
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        _lock(self._descriptor, file)
        if (size := os.fstat(self._descriptor).st_size) and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")
        self._rows: dict[tuple[str, FileState], dict[str, Any]] = {}
        for written in sorted(journals.glob(f"{step}.*.jsonl")):
            self._read(written)

    def _read(self, file: Path) -> None:
        for line in file.read_bytes().splitlines():
            try:
                key, seen, row = json.loads(line)
            except ValueError:  # torn by a kill: that item is done again
                continue
            self._rows[key, FileState(*seen)] = row

    def row_of(self, key: str, seen: FileState) -> dict[str, Any] | None:
        """Return the row of an item that was finished when it looked like this, or None."""
        return self._rows.get((key, seen))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of all items, however they looked when they were finished."""
        yield from self._rows.values()

    def add(self, key: str, seen: FileState, row: dict[str, Any]) -> None:
        """Record an item as finished. Call it after the item's outputs bear their final names."""
        os.write(self._descriptor, json.dumps([key, seen, row]).encode() + b"\n")
        self._rows[key, seen] = row

    def close(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lock(descriptor: int, file: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ValueError(
            f"{file} is in use: another run of this step and shard is at work; wait for it, or "
            "give this one another --shard"
        ) from None
    except OSError as error:  # some network file systems have no locks
        log.warning("%s cannot be locked (%s); do not start the same shard twice", file, error)
