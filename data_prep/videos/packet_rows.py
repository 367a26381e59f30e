"""What is kept of a video's packets, proven to give what demuxing gives."""

import mmap
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from av.error import FFmpegError
from av.packet import Packet

from gcvideo.data.decoding.index import STRICT, StreamIndex, index_stream
from gcvideo.data.decoding.indexed import open_indexed
from gcvideo.data.decoding.packet_row import DecoderState, PacketColumns, PacketRow, row_that_says
from gcvideo.data.decoding.pyav import PyAVReader
from gcvideo.data.decoding.reader import DecodeError, VideoReader
from gcvideo.data.decoding.stored_index import SET_BY_NAME, decoder_of

MOST_BEFORE = 64
"""Bytes of a container's own between the place that it states of a packet and the packet."""


class _CannotBeKeptError(Exception):
    """Why a video has to be demuxed."""


def packet_row(path: Path, *, crc32: int) -> bytes:
    """Return the row of a video that was verified; it may say why there is none.

    Every packet is held to the bytes of the file, and the decoder to what it gives after demuxing: at the
    start, behind it, and at the last key frame.

    Args:
        path: The video.
        crc32: Its checksum.
    """
    try:
        reader = PyAVReader(index := index_stream(path))
        with reader:
            row = _row_of(index, crc32=crc32)
            _require_equal(path, row, reader)
        return row
    except _CannotBeKeptError as error:
        return row_that_says(str(error))
    except (DecodeError, OSError, ValueError, struct.error) as error:
        return row_that_says(str(error).replace(f"{path}: ", ""))


def _row_of(index: StreamIndex, *, crc32: int) -> bytes:
    packets, presentation, context = index.packets, index.presentation, index.context
    _require_plain(packets)
    if presentation is None:
        raise _CannotBeKeptError("its time stamps do not order its frames")
    is_shown = np.zeros(len(packets), bool)
    is_shown[presentation.shown] = True

    def column(value: Callable[[Packet], int | None]) -> np.ndarray:
        return np.array([value(packet) or 0 for packet in packets], np.int64)

    row = PacketRow(
        num_bytes=index.path.stat().st_size,
        crc32=crc32,
        decoder=DecoderState(
            context.codec.name,
            context.codec_tag,
            context.extradata or b"",
            context.pix_fmt or "",
            *(getattr(context, name) for name in SET_BY_NAME),
        ),
        is_strict=context.options == STRICT,
        rotation=0,
        tick=index.tick,
        stated_rate=index.stated_rate,
        packets=PacketColumns(
            start=np.array(list(_starts(index)), np.int64),
            size=column(lambda packet: packet.size),
            crc32=column(lambda packet: zlib.crc32(packet)),
            pts=column(lambda packet: packet.pts),
            duration=column(lambda packet: packet.duration),
            is_key=column(lambda packet: packet.is_keyframe).astype(bool),
            is_shown=is_shown,
            is_unreferenced=np.array([index.is_unreferenced(n) for n in range(len(packets))]),
        ),
    )
    return row._replace(rotation=_rotation_by_container(index, row)).to_bytes()


def _require_plain(packets: Sequence[Packet]) -> None:
    if any(packet.is_discard for packet in packets):
        raise _CannotBeKeptError("an edit list hides packets of it")
    if any(packet.is_corrupt for packet in packets):
        raise _CannotBeKeptError("a packet is cut short")
    if kinds := {data.data_type for packet in packets for data in packet.iter_sidedata()}:
        raise _CannotBeKeptError(f"its packets carry data beside them ({', '.join(sorted(kinds))})")


def _starts(index: StreamIndex) -> Iterator[int]:
    """Yield where each packet lies in the file, byte for byte."""
    with index.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for packet in index.packets:
            stated = -1 if packet.pos is None else packet.pos
            start = content.find(packet, stated, stated + packet.size + MOST_BEFORE) if stated >= 0 else -1
            if start < 0:
                raise _CannotBeKeptError("its packets do not lie in one piece each in the file")
            yield start


def _rotation_by_container(index: StreamIndex, row: PacketRow) -> int:
    """Return by what pictures are turned, unless a decoder that did not see the container says it too."""
    try:
        index.context.flush_buffers()
        demuxed = index.context.decode(index.packets[0]) + index.context.decode(None)
        index.context.flush_buffers()
        decoder = decoder_of(row)
        alone = decoder.decode(index.packets[0]) + decoder.decode(None)
    except FFmpegError as error:
        raise _CannotBeKeptError(f"its first packet does not decode ({error.strerror})") from error
    if not demuxed or not alone:
        raise _CannotBeKeptError("its first packet gives no frame")
    return 0 if alone[0].rotation else demuxed[0].rotation


def _require_equal(path: Path, row: bytes, demuxed: PyAVReader) -> None:
    """Raise unless the row gives length, times and frames, bit for bit, that demuxing gives."""

    def fails(_: str) -> VideoReader:
        raise _CannotBeKeptError("decoding does not give the frames that its time stamps announce")

    with open_indexed(path, row, crc32=None, demux=fails) as reader:
        if (len(reader), reader.fps) != (len(demuxed), demuxed.fps) or not torch.equal(
            reader.boundaries(), demuxed.boundaries()
        ):
            raise _CannotBeKeptError("read by its index, it has other times")
        for picks in _picks(demuxed):
            if not torch.equal(reader.frames_at(picks), demuxed.frames_at(picks)):
                raise _CannotBeKeptError("read by its index, it has other frames")


def _picks(reader: PyAVReader) -> list[list[int]]:
    """Return frames to ask for, one request after the other: of the last key frame first, alone."""
    presentation = reader.index.presentation
    assert presentation is not None
    key = reader.index.key_positions[-1]
    last = next((number for number, position in enumerate(presentation.shown) if position == key), 0)
    return [[last], sorted({0, min(8, len(reader) - 1)})]
