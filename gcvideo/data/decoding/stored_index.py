"""A file whose packets are known before it is opened, and read one run after the other as they are needed."""

import zlib
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

from gcvideo.data.decoding.byte_ranges import ByteRange, ByteRanges
from gcvideo.data.decoding.index import STRICT, TOLERANT
from gcvideo.data.decoding.packet_row import DecoderState, PacketRow, RowUselessError
from gcvideo.data.decoding.packets import PacketIndex, PresentationOrder

BYTES_AT_ONCE = 2**25
"""Of the packets that are read ahead; a whole film is not held in memory."""
SET_BY_NAME = DecoderState._fields[4:]


class OtherBytesError(Exception):
    """A packet's bytes are not those that were verified."""


class StoredIndex(PacketIndex):
    """Packets of a row of the packet index, of whose file no more is read than what is decoded.

    Args:
        path: What messages call the file.
        row: What is known of it.
        source: Its bytes; the index closes it.
        decoder: `decoder_of` the row.
    """

    def __init__(self, path: Path, row: PacketRow, source: ByteRanges, decoder: VideoCodecContext) -> None:
        self.path = path
        self._row = row
        self._source = source
        self._context = decoder
        self.packets = self._packets = StoredPackets(row, source)

    @property
    def context(self) -> VideoCodecContext:
        return self._context

    @property
    def tick(self) -> Fraction:
        return self._row.tick

    @property
    def stated_rate(self) -> Fraction | None:
        return self._row.stated_rate

    @property
    def rotation(self) -> int:
        return self._row.rotation

    @cached_property
    def key_positions(self) -> list[int]:
        return np.flatnonzero(self._row.packets.is_key).tolist()

    @cached_property
    def presentation(self) -> PresentationOrder:
        packets = self._row.packets
        shown = np.flatnonzero(packets.is_shown)
        return PresentationOrder(packets.pts.tolist(), shown[packets.pts[shown].argsort()].tolist())

    def is_unreferenced(self, position: int) -> bool:
        return self._unreferenced[position]

    @cached_property
    def _unreferenced(self) -> list[bool]:
        return self._row.packets.is_unreferenced.tolist()

    def duration(self, position: int) -> int:
        return int(self._row.packets.duration[position])

    def plan(self, positions: Sequence[int]) -> None:
        self._packets.plan(positions)

    def close(self) -> None:
        self._packets.clear()
        self._source.close()


class StoredPackets(Sequence[Packet]):
    """The packets, each read when it is asked for, with those that are planned behind it.

    Raises:
        OtherBytesError: A packet's checksum is another than the row's.
        OSError: The bytes cannot be read.
    """

    def __init__(self, row: PacketRow, source: ByteRanges) -> None:
        self._row = row
        self._columns = row.packets
        self._source = source
        self._at_hand: dict[int, memoryview] = {}
        self._planned: list[int] = []

    def __len__(self) -> int:
        return len(self._columns.size)

    @overload
    def __getitem__(self, position: int) -> Packet: ...
    @overload
    def __getitem__(self, position: slice) -> list[Packet]: ...
    def __getitem__(self, position: int | slice) -> Packet | list[Packet]:
        if isinstance(position, slice):
            return [self[each] for each in range(len(self))[position]]
        if position not in self._at_hand:
            self._read_from(position)
        content = self._at_hand.pop(position)
        packet = Packet(len(content))  # with room behind it, where decoders look too
        packet.update(content)  # pyright: ignore[reportArgumentType] (any buffer will do)
        columns = self._columns
        packet.pts, packet.duration = int(columns.pts[position]), int(columns.duration[position])
        packet.time_base = self._row.tick
        packet.is_keyframe = bool(columns.is_key[position])
        return packet

    def plan(self, positions: Sequence[int]) -> None:
        """Take what is asked for next, so that all of it is read at once."""
        self._at_hand.clear()
        self._planned = list(positions[::-1])

    def clear(self) -> None:
        self.plan([])

    def _read_from(self, position: int) -> None:
        """Read a packet and as many of the next ones that are planned as may be held."""
        if self._planned and self._planned[-1] == position:
            self._planned.pop()
        starts, sizes = self._columns.start, self._columns.size
        positions, num_bytes = [position], sizes[position]
        while self._planned and num_bytes + sizes[self._planned[-1]] <= BYTES_AT_ONCE:
            positions.append(self._planned.pop())
            num_bytes += sizes[positions[-1]]
        ranges = [ByteRange(int(starts[each]), int(starts[each] + sizes[each])) for each in positions]
        for each, content in zip(positions, self._source.read(ranges), strict=True):
            if zlib.crc32(content) != self._columns.crc32[each]:
                raise OtherBytesError
            self._at_hand[each] = content


def decoder_of(row: PacketRow) -> VideoCodecContext:
    """Return the decoder of a row, of one thread, which is opened with the first packet.

    Raises:
        RowUselessError: There is none here, or the row is of an FFmpeg that knows other pixels.
    """
    state = row.decoder
    try:
        context = CodecContext.create(state.codec, "r")
        assert isinstance(context, VideoCodecContext)
        context.pix_fmt = state.pixel_format
    except ValueError as error:
        raise RowUselessError(f"FFmpeg here lacks what the packet index names ({error})") from error
    context.extradata, context.codec_tag = state.extradata, state.tag
    for name in SET_BY_NAME:
        setattr(context, name, getattr(state, name))
    context.thread_count = 1
    context.options = STRICT if row.is_strict else TOLERANT
    return context
