"""The checksum by which a file is known to be the one that was verified."""

import os
import zlib
from pathlib import Path

from gcvideo.video_files import is_picture_name

BYTES_AT_ONCE = 2**20


def crc32_of(path: Path) -> int:
    """Return the CRC-32 of a file's bytes, as gzip has it (RFC 1952, 8).

    No change of one to 32 neighbouring bits keeps it, and of other changes one in four billion.
    """
    checksum = 0
    with path.open("rb", buffering=0) as file:
        while part := file.read(BYTES_AT_ONCE):
            checksum = zlib.crc32(part, checksum)
    return checksum


def crc32_of_folder(folder: Path) -> int:
    """Return the CRC-32 of the names and sizes of a folder's pictures; to read them all would take long."""
    with os.scandir(folder) as entries:
        sizes = sorted((e.name, e.stat().st_size) for e in entries if is_picture_name(e.name))
    return zlib.crc32("".join(f"{name}\0{size}\0" for name, size in sizes).encode(errors="surrogateescape"))
