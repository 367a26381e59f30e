"""One row of the packet index: what is kept of a video, so that it is opened without being demuxed."""

import struct
import zlib
from fractions import Fraction
from math import gcd
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

HEAD = struct.Struct("<QI 14i q BBB I I")
FRAME = struct.Struct("<BI")
"""Whether a row says why there is none, and the CRC-32 of what follows."""
NARROW = struct.Struct("<Bq")
"""Bytes of each of some numbers, and the smallest."""
SIZES = (0, 1, 2, 4, 8)


class RowUselessError(ValueError):
    """A row does not say how to read a video: it is damaged, or says why there is none."""


class DecoderState(NamedTuple):
    """What a decoder is told before the first packet, as FFmpeg's container formats tell it."""

    codec: str
    """FFmpeg's name of the decoder, such as h264 or libdav1d."""
    tag: str
    """The container's name of the format, four signs; some decoders go by it."""
    extradata: bytes
    pixel_format: str
    width: int
    height: int
    reorder_depth: int
    bits_per_coded_sample: int
    color_range: int
    color_primaries: int
    color_trc: int
    colorspace: int


class PacketColumns(NamedTuple):
    """N packets in decoding order, column by column."""

    start: Int64[np.ndarray, " N"]
    """Place of the first byte in the file."""
    size: Int64[np.ndarray, " N"]
    """In bytes."""
    crc32: Int64[np.ndarray, " N"]
    pts: Int64[np.ndarray, " N"]
    """When it is shown, in ticks."""
    duration: Int64[np.ndarray, " N"]
    """In ticks."""
    is_key: Bool[np.ndarray, " N"]
    is_shown: Bool[np.ndarray, " N"]
    is_unreferenced: Bool[np.ndarray, " N"]


class PacketRow(NamedTuple):
    """All that a reader has to know of a video before its first frame."""

    num_bytes: int
    """Of the file."""
    crc32: int
    """Of the file."""
    decoder: DecoderState
    is_strict: bool
    """Whether what the decoder finds wrong with a packet is an error."""
    rotation: int
    """Degrees counter-clockwise that the container, and not the decoder, turns pictures by."""
    tick: Fraction
    """The unit of time stamps, in seconds."""
    stated_rate: Fraction | None
    """Frames per second as the stream says of itself."""
    packets: PacketColumns

    def to_bytes(self) -> bytes:
        """Return the row as it is kept, in about 8 bytes a packet, of which 4 are its checksum."""
        state, packets = self.decoder, self.packets
        texts = [text.encode() for text in (state.codec, state.tag, state.pixel_format)]
        rate = self.stated_rate or Fraction(0)
        head = HEAD.pack(
            self.num_bytes, self.crc32,
            *state[4:], self.is_strict, self.rotation,
            *self.tick.as_integer_ratio(), *rate.as_integer_ratio(),
            int(packets.pts[0]), *map(len, texts), len(state.extradata), len(packets.size),
        )  # fmt: skip
        steps = np.diff(packets.pts)
        unit = gcd(*steps.tolist()) or 1
        columns = [
            packets.start[:1],
            packets.start[1:] - (packets.start + packets.size)[:-1],
            packets.size,
            np.array([unit]),
            steps // unit,
            packets.duration,
        ]
        flags = np.packbits(np.stack(packets[5:]), axis=1)
        checksums = packets.crc32.astype("<u4")
        content = b"".join(
            [head, *texts, state.extradata, *map(_narrow, columns), flags.tobytes(), checksums.tobytes()]
        )
        return FRAME.pack(0, zlib.crc32(content)) + content

    @classmethod
    def from_bytes(cls, row: bytes) -> "PacketRow":
        """Return what `to_bytes` made a row of.

        Raises:
            RowUselessError: It is damaged, or one of those that say why there is none.
        """
        says_why, content = _content_of(row)
        if says_why:
            raise RowUselessError(content.decode())
        num_bytes, crc32, *numbers = HEAD.unpack_from(content)
        state, (is_strict, rotation, *ratios) = numbers[:8], numbers[8:14]
        first_pts, *lengths, extradata_size, n = numbers[14:]
        parts = _Parts(content, HEAD.size)
        codec, tag, pixel_format = (parts.take(length).decode() for length in lengths)
        extradata = parts.take(extradata_size)
        start, gap, size, unit, steps, duration = map(parts.wide, (1, n - 1, n, 1, n - 1, n))
        flags = np.frombuffer(parts.take(3 * -(-n // 8)), np.uint8).reshape(3, -1)
        is_key, is_shown, is_unreferenced = np.unpackbits(flags, axis=1, count=n).view(bool)
        checksums = np.frombuffer(parts.take(4 * n), "<u4").astype(np.int64)
        pts = np.concatenate([[first_pts], steps * unit]).cumsum()
        return cls(
            num_bytes, crc32, DecoderState(codec, tag, extradata, pixel_format, *state), bool(is_strict),
            rotation, Fraction(*ratios[:2]), Fraction(*ratios[2:]) or None,
            PacketColumns(
                np.concatenate([start, gap + size[:-1]]).cumsum(), size, checksums, pts, duration,
                is_key, is_shown, is_unreferenced,
            ),
        )  # fmt: skip


def row_that_says(reason: str) -> bytes:
    """Return the row of a video that has to be demuxed."""
    content = reason.encode()
    return FRAME.pack(1, zlib.crc32(content)) + content


def _content_of(row: bytes) -> tuple[bool, bytes]:
    content = row[FRAME.size :]
    if len(row) < FRAME.size or FRAME.unpack_from(row)[1] != zlib.crc32(content):
        raise RowUselessError("its row of the packet index is damaged")
    return bool(row[0]), content


def _narrow(values: Int64[np.ndarray, " n"]) -> bytes:
    """Return how far each number is from the smallest, in as few bytes as the largest takes, behind both."""
    if not len(values):
        return b""
    smallest = values.min()
    above = values - smallest
    size = next(size for size in SIZES if int(above.max()) < 256**size)
    return NARROW.pack(size, smallest) + (above.astype(f"<u{size}").tobytes() if size else b"")


class _Parts:
    """Bytes that are taken one part after the other."""

    def __init__(self, content: bytes, start: int) -> None:
        self._content = content
        self._start = start

    def take(self, size: int) -> bytes:
        start, self._start = self._start, self._start + size
        return self._content[start : self._start]

    def wide(self, count: int) -> Int64[np.ndarray, " n"]:
        """Return the numbers that `_narrow` wrote."""
        if not count:
            return np.empty(0, np.int64)
        size, smallest = NARROW.unpack(self.take(NARROW.size))
        if not size:
            return np.full(count, smallest, np.int64)
        return np.frombuffer(self.take(size * count), f"<u{size}").astype(np.int64) + smallest
