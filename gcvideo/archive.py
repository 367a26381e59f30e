"""Zip archives as torch.save writes them: not compressed, with a CRC-32 of every entry."""

import errno
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError)
"""What zipfile raises for archives with changed bytes, by what they say then: sizes, methods, encryption."""


class Archive(NamedTuple):
    """What an archive holds."""

    entries: list[str]
    damaged: str | None
    """The first entry that does not have its checksum."""


def examine(file: Path) -> Archive:
    """Read a whole archive, for its entries and their checksums.

    Raises:
        ValueError: It is none, or not as it was written.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return Archive(archive.namelist(), archive.testzip())
    except UNREADABLE as error:
        raise ValueError(f"{file}: {error}") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # an entry before the file's beginning
            raise
        raise ValueError(f"{file}: {error}") from error
