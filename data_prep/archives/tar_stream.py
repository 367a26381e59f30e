"""Tar archives read once from front to back, whatever their name says of their compression."""

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from data_prep.lists.listable_names import unlistable

_OPENERS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open))
_DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, ValueError)

_TYPES = {
    tarfile.LNKTYPE: "hard link",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "FIFO",
}


_LONGEST_READ = 1 << 20
"""Bytes; a longer one would be a member's header, which tarfile reads at once."""


class ArchiveError(ValueError):
    """An archive that ends early or is damaged. Members before the damage were given out."""


class ExpansionError(ArchiveError):
    """An archive that gives more bytes than was permitted."""


@contextmanager
def open_tar(path: Path, *, max_bytes: float) -> Iterator["TarReader"]:
    """Open a tar archive, compressed or not, as its first bytes and not its name say.

    No more than max_bytes of it are decompressed.
    """
    with path.open("rb", buffering=1 << 20) as raw:
        start = raw.read(6)
        raw.seek(0)
        opener = next((opener for magic, opener in _OPENERS if start.startswith(magic)), None)
        with opener(raw) if opener else raw as stream:
            yield TarReader(_Forward(stream, max_bytes), raw)


class TarReader:
    """The members of an archive, in order, and the certainty that there are no more.

    tarfile takes a header it cannot read, and the end of a file cut at a header, for the end of the
    archive. Here an archive ends with the block of zeros that says so, followed by nothing but
    zeros, and a compressed stream with the right checksum.
    """

    def __init__(self, stream: "_Forward", raw: IO[bytes]) -> None:
        self._stream = stream
        self._raw = raw

    @property
    def num_bytes_read(self) -> int:
        """Return how much of the file, compressed as it is, was read."""
        return self._raw.tell()

    def members(self) -> Iterator[tuple[tarfile.TarInfo, Iterator[bytes]]]:
        """Yield each member with its content, which is to be read before the next is asked for.

        Raises:
            ArchiveError: The archive is damaged, behind what came before; also from the content.
        """
        try:
            with tarfile.open(fileobj=self._stream, mode="r:") as opened:
                archive: Any = opened  # its list of members is not in the type stubs
                while (member := archive.next()) is not None:
                    content = archive.extractfile(member) if member.isreg() else None
                    yield member, _chunks(content)
                    archive.members = []  # a list of every member is not needed
            self._stream.expect_end()
        except ArchiveError:
            raise
        except _DAMAGE as error:
            raise ArchiveError(str(error) or type(error).__name__) from None


def refusal(member: tarfile.TarInfo) -> str | None:
    """Return why a member must not be extracted, or None. Only plain files with plain names are."""
    name = PurePosixPath(member.name)
    if not name.parts and not member.isdir():  # many archives begin with the folder ./ itself
        return "empty name"
    if name.is_absolute():
        return "absolute path"
    if ".." in name.parts:
        return "path with .."
    if (trouble := unlistable(member.name)) is not None:
        return trouble
    if member.issparse() or not (member.isreg() or member.isdir()):
        return _TYPES.get(member.type, "sparse file")
    if member.isreg() and member.mode & 0o7000:
        return f"set-uid, set-gid or sticky bit (mode {member.mode:o})"
    return None


def _chunks(content: IO[bytes] | None) -> Iterator[bytes]:
    try:
        while content is not None and (chunk := content.read(_LONGEST_READ)):
            yield chunk
    except ArchiveError:
        raise
    except _DAMAGE as error:
        raise ArchiveError(str(error) or type(error).__name__) from None


class _Forward(io.RawIOBase):
    """A stream that is read from front to back, up to a limit, and remembers the last thing read."""

    def __init__(self, stream: Any, max_bytes: float) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._position = 0
        self._last = b""

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        assert whence == io.SEEK_SET
        assert offset >= self._position
        while self._position < offset and self.read(min(_LONGEST_READ, offset - self._position)):
            pass
        return self._position

    def read(self, size: int = -1) -> bytes:
        if size > _LONGEST_READ:
            raise tarfile.ReadError(f"a member header of {size:,} bytes at byte {self._position:,}")
        self._last = self._stream.read(size)
        self._position += len(self._last)
        if self._position > self._max_bytes:
            raise ExpansionError(f"gives more than {self._max_bytes:,.0f} bytes")
        return self._last

    def expect_end(self) -> None:
        """Raise tarfile.ReadError unless the archive's end was read and only zeros are left."""
        if len(self._last) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError(f"cut off at byte {self._position:,}: no end-of-archive mark")
        if any(self._last):
            raise tarfile.ReadError(f"no member header at byte {self._position - tarfile.BLOCKSIZE:,}")
        while rest := self.read(_LONGEST_READ):
            if any(rest):
                raise tarfile.ReadError(f"data after the end of the archive, at byte {self._position:,}")
