"""Parts of a file's bytes, from wherever the file lies."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

PAGES = 2**14
"""Bytes between two ranges of a local file that cost less to read than to leave out."""


class ByteRange(NamedTuple):
    """Bytes `start` to `end`, without the last."""

    start: int
    end: int


@runtime_checkable
class ByteRanges(Protocol):
    """One file, of which parts are read."""

    num_bytes: int
    """Of the whole file."""

    def read(self, ranges: Sequence[ByteRange]) -> list[memoryview]:
        """Return the bytes of each range, in any order and however near to one another.

        Raises:
            OSError: A range cannot be read whole; the message says why.
        """
        ...

    def close(self) -> None: ...


class LocalFile(ByteRanges):
    """A file on a disk.

    Raises:
        OSError: It cannot be opened, or is no regular file: a pipe is not waited for.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(self._descriptor)
        self.num_bytes = status.st_size
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise OSError("is no regular file")

    def read(self, ranges: Sequence[ByteRange]) -> list[memoryview]:
        parts = dict[ByteRange, memoryview]()
        for whole, inside in together(ranges, most_between=PAGES):
            content = memoryview(self._bytes_of(whole))
            for part in inside:
                parts[part] = content[part.start - whole.start : part.end - whole.start]
        return [parts[part] for part in ranges]

    def _bytes_of(self, whole: ByteRange) -> bytes:
        content = os.pread(self._descriptor, whole.end - whole.start, whole.start)
        while len(content) < whole.end - whole.start:  # the system reads 2 GB at once at most
            start = whole.start + len(content)
            more = os.pread(self._descriptor, whole.end - start, start)
            if not more:
                raise OSError(f"ends after {start} of {whole.end} bytes")
            content += more
        return content

    def close(self) -> None:
        os.close(self._descriptor)


def together(
    ranges: Sequence[ByteRange], *, most_between: int
) -> Iterator[tuple[ByteRange, list[ByteRange]]]:
    """Yield ranges to read, each with those asked for that lie in it, in the order of the file.

    Args:
        ranges: What is asked for.
        most_between: Bytes between two ranges up to which both are read at once, with what is between.
    """
    inside: list[ByteRange] = []
    end = 0
    for part in sorted(ranges):
        if inside and part.start - end > most_between:
            yield ByteRange(inside[0].start, end), inside
            inside = []
        end = max(end, part.end) if inside else part.end
        inside.append(part)
    if inside:
        yield ByteRange(inside[0].start, end), inside
