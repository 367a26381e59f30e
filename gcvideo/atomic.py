"""Write files that are whole or absent: under a temporary name, then renamed."""

import csv
import errno
import glob
import os
import platform
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gcvideo.cells import quoted, unquoted

MOST_BYTES = 140
"""Of a file's name in its temporary one, which may have 255 bytes in all."""
STALE_SECONDS = 24 * 3600.0
"""When a temporary file of another machine, whose processes cannot be seen, is taken for left over."""

HOST = re.sub(r"[^\w-]", "", platform.node().partition(".")[0])[:60] or "here"
WRITER = re.compile(r"\.(?P<host>[\w-]*)-(?P<process>\d{1,9})\.partial$")


def partial_of(target: Path) -> Path:
    """Return a temporary name that is the same in every process, for those that go on with what is there."""
    return target.with_name(f".{target.name}.partial")


@contextmanager
def replacing(target: Path, *, partial: Path | None = None, is_settled: bool = True) -> Iterator[Path]:
    """Yield a path to write to: it becomes the target when the block ends, and vanishes when it fails.

    Processes that write one target at one time do not meet: the temporary name says which machine and which
    process it is of. What a killed process left of the target is deleted by the next one that writes it.

    Args:
        target: What the file will be called.
        partial: What it is called until then, on the same file system. Where many files lie in the folder and
            one process alone writes each, `partial_of` spares the search for leftovers.
        is_settled: Wait until the disk has the file before it gets its name, so that no power cut
            leaves the name without the bytes. Without, the caller checks its size later.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if partial is None:
        partial = _own_partial_of(target)
        _delete_leftovers(target)
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)
    try:
        yield partial
        if is_settled:
            settle(partial)
        partial.replace(target)
        if is_settled:
            _settle_folder(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def settle(file: Path) -> None:
    """Wait until the disk has a file's bytes."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _settle_folder(folder: Path) -> None:
    """Wait until the disk has a folder's names; some network file systems cannot promise that."""
    try:
        settle(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def _own_partial_of(target: Path) -> Path:
    return target.with_name(f".{_stem(target)}.{HOST}-{os.getpid()}.partial")


def _stem(target: Path) -> str:
    return os.fsdecode(os.fsencode(target.name)[:MOST_BYTES])


def _delete_leftovers(target: Path) -> None:
    for file in target.parent.glob(f".{glob.escape(_stem(target))}.*.partial"):
        writer = WRITER.search(file.name)
        if writer and _is_left_over(file, host=writer["host"], process=int(writer["process"])):
            file.unlink(missing_ok=True)


def _is_left_over(file: Path, *, host: str, process: int) -> bool:
    try:
        if host != HOST:
            return time.time() - file.stat().st_mtime > STALE_SECONDS
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (FileNotFoundError, PermissionError):  # deleted by another; another user's process
        pass
    return False


def write_text(target: Path, text: str) -> None:
    """Write a whole text file.

    Characters that UTF-8 cannot carry (bytes of a broken file name) are written as `\\udcXX`.
    """
    with replacing(target) as partial:
        partial.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def write_table(target: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file with a header; `read_table` gives back the same texts."""
    lines = _Lines()
    csv.writer(lines, lineterminator="\n").writerows([columns, *(map(quoted, row) for row in rows)])
    write_text(target, "".join(lines))


def read_table(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header.

    Raises:
        ValueError: It is no CSV in UTF-8, or a row has other columns than the header.
    """
    with file.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        try:
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise ValueError(f"expected the columns {','.join(reader.fieldnames or ())}")
                rows.append({column: unquoted(cell) for column, cell in row.items()})
        except (csv.Error, ValueError) as error:  # UnicodeDecodeError is one
            raise ValueError(
                f"{file}:{reader.reader.line_num}: is no row of a table in UTF-8 ({error})"
            ) from error
    return rows


class _Lines(list[str]):
    """What csv.writer needs of a file."""

    def write(self, line: str) -> None:
        self.append(line)
