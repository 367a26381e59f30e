"""The few bits of a compressed packet that say more about a frame than its container does."""

from collections.abc import Iterator
from typing import NamedTuple

from av.packet import Packet

H264_SLICE, H264_PARTITION_A, H264_PARTITION_C, H264_IDR_SLICE = 1, 2, 4, 5
SHORTEST_MPEG4_PICTURE = 16  # bytes; one bit for each of a picture's macroblocks soon exceeds it


class NalUnit(NamedTuple):
    """The header byte of one H.264 network abstraction layer unit (ITU-T H.264, 7.3.1)."""

    ref_idc: int
    """0 when no other picture refers to this one."""
    type: int


def nal_length_size(codec: str, extradata: bytes | None) -> int | None:
    """Return the bytes of the length in front of each H.264 unit, or None where units have start codes.

    ISO/IEC 14496-15, 5.2.4.1: an avcC record starts with version 1, and the low two bits of its
    fifth byte hold the size less one.
    """
    if codec != "h264" or not extradata or len(extradata) < 7 or extradata[0] != 1:
        return None
    return (extradata[4] & 0b11) + 1


def h264_nal_units(packet: Packet, length_size: int) -> Iterator[NalUnit]:
    """Yield the unit headers of one packet in the length-prefixed form of MP4 and Matroska."""
    data = memoryview(packet)
    offset = 0
    while offset + length_size < len(data):
        length = int.from_bytes(data[offset : offset + length_size], "big")
        header = data[offset + length_size]
        yield NalUnit(ref_idc=header >> 5 & 0b11, type=header & 0b11111)
        offset += length_size + length


def is_unreferenced(packet: Packet, length_size: int) -> bool:
    """Return whether no other H.264 picture refers to this one, so that leaving it out changes none.

    Every slice of such a picture has nal_ref_idc 0 (ITU-T H.264, 7.4.1).
    """
    slices = [
        unit for unit in h264_nal_units(packet, length_size) if H264_SLICE <= unit.type <= H264_IDR_SLICE
    ]
    return bool(slices) and all(unit == NalUnit(0, H264_SLICE) for unit in slices)


def starts_closed_group(packet: Packet, codec: str, extradata: bytes | None) -> bool:
    """Return whether nothing from this packet on refers to anything before it, by the codec's own bits.

    H.264: an IDR picture (7.4.1.2.4). VP8: key_frame is bit 0 of the frame tag (RFC 6386, 9.1).
    VP9: show_existing_frame and frame_type are both 0 (bitstream specification, 6.2, profile 0).
    """
    if codec == "h264":
        length_size = nal_length_size(codec, extradata)
        return length_size is not None and any(
            unit.type == H264_IDR_SLICE for unit in h264_nal_units(packet, length_size)
        )
    first = memoryview(packet)[0]
    if codec == "vp8":
        return first & 0b1 == 0
    if codec == "vp9":
        return first & 0b1100 == 0
    return False


def is_hidden(packet: Packet, codec: str) -> bool:
    """Return whether a VP8 packet is a reference that is never shown (show_frame, RFC 6386, 9.1)."""
    return codec == "vp8" and memoryview(packet)[0] >> 4 & 0b1 == 0


def may_hold_no_picture(packet: Packet, codec: str) -> bool:
    """Return whether an MPEG-4 packet is so short that it may only say "not coded" (ISO/IEC 14496-2, 6.2.5).

    AVI files are full of those: for a frame that repeats the last one, and in place of a B picture
    that travels in the packet before it. Decoders return nothing for them.
    """
    return codec == "mpeg4" and packet.size < SHORTEST_MPEG4_PICTURE
