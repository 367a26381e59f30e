"""Checksums of a file while it arrives."""

import hashlib
from typing import BinaryIO

CHUNK_BYTES = 1 << 20


class Digest:
    """SHA-256 for the report, and whichever hash the expected checksum (32 or 64 digits, or none) is."""

    def __init__(self, expected: str) -> None:
        self.expected = expected
        self._hashes = {64: hashlib.sha256()}
        if len(expected) == 32:
            self._hashes[32] = hashlib.md5(usedforsecurity=False)

    def read(self, file: BinaryIO, num_bytes: int) -> None:
        """Take in what is on the disk already."""
        file.seek(0)
        while num_bytes > 0 and (chunk := file.read(min(num_bytes, CHUNK_BYTES))):
            self.update(chunk)
            num_bytes -= len(chunk)

    def update(self, chunk: bytes) -> None:
        for digest in self._hashes.values():
            digest.update(chunk)

    @property
    def found(self) -> str:
        return self._hashes[len(self.expected) or 64].hexdigest()

    @property
    def differs(self) -> bool:
        return bool(self.expected) and self.found != self.expected

    @property
    def sha256(self) -> str:
        return self._hashes[64].hexdigest()
