"""Reads the videos of a packet index: no demuxing, and no more bytes than are decoded."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor

from gcvideo.data.decoding.byte_ranges import ByteRanges, LocalFile
from gcvideo.data.decoding.packet_row import PacketRow, RowUselessError
from gcvideo.data.decoding.pyav import NOT_AS_STATED, PyAVReader
from gcvideo.data.decoding.reader import DecodeError, VideoReader
from gcvideo.data.decoding.stored_index import OtherBytesError, StoredIndex, decoder_of
from gcvideo.shards.errors import UnreachableError

INDEXED = "pyav, indexed"
"""What the log calls the reader."""
Demux = Callable[[str], VideoReader]
"""Opens a video by a reader that demuxes it, and is told why it has to be."""


def open_indexed(
    path: Path,
    packets: bytes,
    *,
    crc32: int | None,
    demux: Demux,
    reason: str = "",
    open_source: Callable[[Path], ByteRanges] = LocalFile,
) -> VideoReader:
    """Open a video by its row of the packet index, or by demuxing it, if it is not as that says.

    Args:
        path: The video.
        packets: The row.
        crc32: The file's checksum when it was verified, if the list has it.
        demux: Opens the video otherwise.
        reason: Why no faster decoder reads it.
        open_source: Opens the file's bytes.
    """
    try:
        row = PacketRow.from_bytes(packets)
        if crc32 not in (None, row.crc32):
            raise RowUselessError("its row of the packet index is of another file")
        decoder = decoder_of(row)
        source = open_source(path)
    except RowUselessError as error:
        return demux(str(error))
    except OSError as error:
        return demux(_not_in_parts(error))
    if source.num_bytes != row.num_bytes:
        source.close()
        return demux("its size is not that of the packet index")
    index = StoredIndex(path, row, source, decoder)
    return IndexedReader(index, demux=demux, name=f"{INDEXED}: {reason}" if reason else INDEXED)


class IndexedReader(PyAVReader):
    """Decodes packets that are known beforehand, each only if its checksum is that of when it was verified.

    Where a packet's is not, or the decoder gives something else than its time stamps announce, the rest is
    read by a reader that demuxes the file.

    Args:
        index: The packets; the reader closes it.
        demux: Opens the video otherwise.
        name: What the log calls the reader.
    """

    def __init__(self, index: StoredIndex, *, demux: Demux, name: str = INDEXED) -> None:
        super().__init__(index, name=name)
        self._demux = demux
        self._demuxed: VideoReader | None = None

    def _learn_encoder(self) -> None:
        with suppress(OtherBytesError, OSError):  # reading says so
            super()._learn_encoder()

    def close(self) -> None:
        super().close()
        if self._demuxed is not None:
            self._demuxed.close()

    def decode(self, ascending: list[int], part_size: int) -> Iterator[UInt8[Tensor, "N H W 3"]]:
        num_given = 0
        if self._demuxed is None:
            try:
                for part in self._decode_by_time(ascending, part_size):
                    yield part
                    num_given += len(part)
                return
            except UnreachableError:
                raise
            except OtherBytesError:
                reason = "its bytes are not those of the packet index"
            except NOT_AS_STATED:
                reason = "its frames are not as the packet index announces them"
            except OSError as error:
                reason = _not_in_parts(error)
            self._demuxed = self._demux(reason)
            self.name = self._demuxed.name
            if len(self._demuxed) != len(self):
                raise DecodeError(
                    f"{self.path}: has {len(self._demuxed)} frames, and {len(self)} by its packet index: it "
                    "is replaced; run data_prep/verify.py again"
                )
        yield from self._demuxed.parts_at(ascending[num_given:])


def _not_in_parts(error: OSError) -> str:
    return f"it cannot be read in parts ({error.strerror or error})"
