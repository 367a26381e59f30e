"""From a path to the reader that gives its frames exactly."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from gcvideo.clip import Verified, VideoRecord
from gcvideo.data.decoding.byte_ranges import ByteRanges
from gcvideo.data.decoding.checksum import crc32_of, crc32_of_folder
from gcvideo.data.decoding.frames import FrameFolderReader, FrameNames
from gcvideo.data.decoding.index import index_stream
from gcvideo.data.decoding.indexed import open_indexed
from gcvideo.data.decoding.plain import starts_as_plain
from gcvideo.data.decoding.pyav import PyAVReader
from gcvideo.data.decoding.reader import DecodeError, VideoReader, check_regular_file
from gcvideo.data.decoding.segments import SegmentReader

Backend = Literal["pyav", "decord", "torchcodec"]
OpenReader = Callable[[Path], VideoReader]
"""Opens a video, as a class of readers does when it is called with a path."""
DECORD_BYTES = 256 * 2**20
"""All frames of a video that decord reads: it decodes ahead for as long as it is not done."""

logger = logging.getLogger(__name__)


@runtime_checkable
class HasBytes(Protocol):
    """Opens videos that are no files here, and holds what is read of one to the checksum of the whole."""

    def __call__(self, path: Path) -> VideoReader: ...

    def crc32(self, path: Path) -> int: ...

    def bytes_of(self, path: Path) -> ByteRanges: ...


@dataclass(frozen=True)
class OpenAny:
    """Opens a video that no list names: a file, or a folder of pictures.

    Args:
        reader: What opens all videos in place of the readers here.
        frames: How pictures are named.
        packed: What opens videos that are no files here.
    """

    reader: OpenReader | None = None
    frames: FrameNames = FrameNames()  # noqa: RUF009 (frozen)
    packed: OpenReader | None = None

    def __call__(self, path: Path) -> VideoReader:
        if self.reader is not None:
            return self.reader(path)
        if self.packed is not None and not path.exists():
            return self.packed(path)
        return FrameFolderReader(path, self.frames) if path.is_dir() else open_video(path)


def open_video(
    path: str | Path,
    backend: Backend | OpenReader = "pyav",
    *,
    verified: Verified | None = None,
    num_frames: int | None = None,
    packets: bytes | None = None,
) -> VideoReader:
    """Open a video; raise DecodeError for whatever is not a video file that can be read.

    Backend "pyav" reads all files with PyAV; "decord" and "torchcodec" read what a list of
    data_prep/verify.py calls plain, and PyAV every other file. The frames are the same. A file whose
    checksum is another than the list says is refused, since no decoder notices all damage.

    Any other way of opening a video reads all files itself, and is held to the list's checksum and number of
    frames (`num_frames`, or that which was verified).

    With a row of the packet index (`packets`) PyAV demuxes nothing, reads no more of the file than what it
    decodes, and compares that with when it was verified. A file that has changed is read as without.

    No file is plain by what it states of itself: where a packet is damaged, decord returns other
    frames without an error (215 of 9,000 picks in 250 H.264 files with a few bytes changed; PyAV 0).
    """
    path = Path(path)
    reader = _Opening(path, verified, packets).open(backend)
    listed = num_frames if verified is None else verified.num_frames
    if listed not in (None, len(reader)):
        found = len(reader)
        reader.close()
        said = "had {} when it was verified; run data_prep/verify.py again"
        said = "its list says {}; correct the list" if verified is None else said
        raise DecodeError(f"{path}: has {found} frames, and {said.format(listed)}")
    return reader


def open_record(
    record: VideoRecord, backend: Backend | OpenReader = "pyav", *, packets: bytes | None = None
) -> VideoReader:
    """Open a listed video, or the segment of it that is listed.

    Raises:
        DecodeError: It cannot be read, or is not as its list says.
    """
    reader = open_video(
        record.path, backend, verified=record.verified, num_frames=record.num_frames, packets=packets
    )
    if record.segment is None:
        return reader
    return SegmentReader(reader, record.segment, path=record.path)


def _crc32(path: Path) -> int:
    of_folder = path.is_dir()
    if not of_folder:
        check_regular_file(path)
    try:
        return crc32_of_folder(path) if of_folder else crc32_of(path)
    except OSError as error:
        raise DecodeError(f"{path}: cannot be read to its end ({error.strerror}); fetch it again") from error


def _check_same(path: Path, verified: int, crc32: Callable[[Path], int] = _crc32) -> None:
    """Raise DecodeError unless the file or folder has the checksum that it had when it was verified."""
    found = crc32(path)
    if found != verified:
        raise DecodeError(
            f"{path}: its checksum is {found}, and was {verified} when it was verified: it is damaged or "
            "replaced; fetch it again, or run data_prep/verify.py again"
        )


class _Opening(NamedTuple):
    """A video that is to be opened, and what is known of it."""

    path: Path
    verified: Verified | None
    packets: bytes | None

    def open(self, backend: Backend | OpenReader) -> VideoReader:
        if callable(backend):
            return self._open_by(backend)
        if backend == "pyav":
            return self._open_with_pyav()
        if self.verified is None:
            reason = "no list says that it is plain"
        elif not self.verified.plain:
            reason = "its list says that it is not plain"
        else:
            self._check_same()
            try:
                return _open_plain(self.path, backend, self.verified)
            except DecodeError as error:
                reason = str(error).removeprefix(f"{self.path}: ")
        logger.debug("%s is read with PyAV: %s", self.path, reason)
        return self._open_with_pyav(reason)

    def _open_by(self, backend: OpenReader) -> VideoReader:
        if not isinstance(backend, HasBytes):
            self._check_same()
            return backend(self.path)
        self._check_same(backend.crc32)
        if self.packets is None:
            return backend(self.path)
        return open_indexed(
            self.path,
            self.packets,
            crc32=backend.crc32(self.path),
            demux=lambda reason: backend(self.path),
            open_source=backend.bytes_of,
        )

    def _open_with_pyav(self, reason: str = "") -> VideoReader:
        if self.packets is None:
            return self._demux(reason)
        crc32 = None if self.verified is None else self.verified.crc32
        return open_indexed(self.path, self.packets, crc32=crc32, demux=self._demux, reason=reason)

    def _demux(self, reason: str) -> VideoReader:
        self._check_same()
        return PyAVReader(index_stream(self.path), name=f"pyav: {reason}" if reason else "pyav")

    def _check_same(self, crc32: Callable[[Path], int] = _crc32) -> None:
        if self.verified is not None and self.verified.crc32 is not None:
            _check_same(self.path, self.verified.crc32, crc32)


def _open_plain(path: Path, backend: Literal["decord", "torchcodec"], verified: Verified) -> VideoReader:
    """Open a video by a decoder that is imported here, since it may not be installed."""
    check_regular_file(path)
    if not starts_as_plain(path):  # it would open the files that a playlist names
        raise DecodeError(f"{path}: does not begin as MP4 or Matroska")
    size = (verified.width, verified.height)
    if backend == "torchcodec":
        from gcvideo.data.decoding.torchcodec import TorchcodecReader

        return TorchcodecReader(path, fps=verified.fps, size=size)

    from gcvideo.data.decoding.decord import DecordReader

    if verified.num_frames * 3 * verified.width * verified.height > DECORD_BYTES:
        raise DecodeError(f"{path}: decord may decode all of it ahead, which takes too much memory")
    return DecordReader(path, fps=verified.fps, size=size)
