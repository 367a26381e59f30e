"""Files that are whole or absent: written under a temporary name, then renamed."""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def partial_of(target: Path) -> Path:
    """Where a file lies while it is being written: hidden, in the target's own folder."""
    return target.with_name(f".{target.name}.partial")


@contextmanager
def replacing(target: Path, *, partial: Path | None = None, is_settled: bool = True) -> Iterator[Path]:
    """A path to write to: it becomes the target when the block ends, and vanishes when it fails.

    A process killed inside the block leaves the partial file, which the next attempt overwrites.

    Args:
        target: What the file will be called.
        partial: What it is called until then, on the same file system (default: `partial_of`).
            Processes that may write one target at one time each need their own.
        is_settled: Wait until the disk has the file before it gets its name, so that no power cut
            leaves the name without the bytes. Without, the caller checks its size later.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = partial or partial_of(target)
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)
    try:
        yield partial
        if is_settled:
            settle(partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def settle(file: Path) -> None:
    """Wait until the disk has a file's bytes."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(target: Path, text: str) -> None:
    """Write a whole text file.

    Characters that UTF-8 cannot carry (bytes of a broken file name) are written as `\\udcXX`.
    """
    with replacing(target) as partial:
        partial.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def write_table(target: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file with a header."""
    lines = _Lines()
    csv.writer(lines, lineterminator="\n").writerows([columns, *rows])
    write_text(target, "".join(lines))


def read_table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a header.

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
                rows.append(row)
        except (csv.Error, ValueError) as error:  # UnicodeDecodeError is one
            raise ValueError(
                f"{file}:{reader.reader.line_num}: is no row of a table in UTF-8 ({error})"
            ) from error
    return rows


class _Lines(list[str]):
    """What csv.writer needs of a file."""

    def write(self, line: str) -> None:
        self.append(line)
