"""Which packet of a file is which frame: one pass over the file, without decoding."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from io import BytesIO
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from gcvideo.data.decoding.bitstream import (
    is_hidden,
    is_unreferenced,
    may_hold_no_picture,
    nal_length_size,
    starts_closed_group,
)
from gcvideo.data.decoding.packets import PacketIndex, PresentationOrder
from gcvideo.data.decoding.reader import DecodeError, check_regular_file

# Without this list, a playlist under a video's name makes FFmpeg open the files it names.
CONTAINERS = "mov,matroska,avi,asf,flv,mpeg,mpegts,mpegvideo,m4v,h264,hevc,ivf,ogg,nut,mxf,dv,rm,gif"

LARGEST_PICTURE = (8192, 4320)
"""Width and height. A file of a kilobyte can state a picture that takes all memory."""
MAX_PIXELS = LARGEST_PICTURE[0] * LARGEST_PICTURE[1]
TOLERANT = {"max_pixels": str(MAX_PIXELS)}
STRICT = {**TOLERANT, "err_detect": "crccheck+bitstream+buffer+explode"}
"""Options of a decoder by which what it finds wrong with a packet is an error, and not concealed."""


@dataclass(frozen=True)
class StreamIndex(PacketIndex):
    """The packets of a file that was read from its start to its end."""

    path: Path
    container: InputContainer
    stream: VideoStream
    packets: list[Packet]  # pyright: ignore[reportIncompatibleVariableOverride] (it is frozen)

    @property
    def context(self) -> VideoCodecContext:
        return self.stream.codec_context

    @cached_property
    def key_positions(self) -> list[int]:
        return [position for position, packet in enumerate(self.packets) if packet.is_keyframe]

    @cached_property
    def presentation(self) -> PresentationOrder | None:
        """None where the time stamps cannot tell which packet is which frame.

        That is where one is missing or stands twice; where the first packet is not a key frame or
        not the first to be shown, since decoders drop pictures that refer to what is not there; and
        where a packet may hold no picture.
        """
        codec = self.codec  # once, not for each packet
        times = [packet.pts for packet in self.packets if packet.pts is not None]
        if len(times) < len(self.packets) or not self.packets[0].is_keyframe:
            return None
        shown = sorted(
            (
                position
                for position, packet in enumerate(self.packets)
                if not packet.is_discard and not is_hidden(packet, codec)
            ),
            key=times.__getitem__,
        )
        if not shown or len({times[position] for position in shown}) < len(shown):
            return None
        if times[shown[0]] < times[0]:
            return None
        if any(may_hold_no_picture(packet, codec) for packet in self.packets):
            return None
        return PresentationOrder(times, shown)

    @property
    def stated_rate(self) -> Fraction | None:
        return self.stream.average_rate or self.stream.guessed_rate

    @property
    def tick(self) -> Fraction:
        assert self.stream.time_base is not None  # every demuxer sets one
        return self.stream.time_base

    def is_unreferenced(self, position: int) -> bool:
        return self._length_size is not None and is_unreferenced(self.packets[position], self._length_size)

    @cached_property
    def _length_size(self) -> int | None:
        return nal_length_size(self.codec, self.context.extradata)

    def duration(self, position: int) -> int:
        return self.packets[position].duration or 0

    def close(self) -> None:
        self.packets.clear()
        self.container.close()


def open_container(path: Path, content: BytesIO | None = None) -> InputContainer:
    """Open a file of a stranger without following what it names; raises DecodeError.

    Args:
        path: The file, or what messages call it.
        content: Its bytes, where it is not a file here.
    """
    if content is None:
        check_regular_file(path)
    try:
        return av.open(
            content or str(path.absolute()),  # a relative name such as concat:a.mp4 would be a protocol
            mode="r",
            container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"},
            options={"max_pixels": str(MAX_PIXELS)},  # for the decoder that finds out what the file states
            metadata_errors="replace",
        )
    except FFmpegError as error:
        raise DecodeError(
            f"{path}: is no video file that FFmpeg can open ({error.strerror}); "
            "fetch it again or drop it from the list"
        ) from error


def stated_frame_rate(path: Path) -> float | None:
    """Return the frames per second that the head of a file states; raise DecodeError if it has no video."""
    with open_container(path) as container:
        rate = _video_stream(container, path).average_rate
    return float(rate) if rate else None


def index_stream(path: Path, content: BytesIO | None = None) -> StreamIndex:
    """Read every packet of the video stream of `path`, or of its content; raise DecodeError if that fails."""
    container = open_container(path, content)
    try:
        stream = _video_stream(container, path)
        packets = [packet for packet in container.demux(stream) if packet.size]
        if not packets:
            raise DecodeError(f"{path}: its video stream has 0 frames; drop it from the list")
    except FFmpegError as error:
        container.close()
        raise DecodeError(f"{path}: cannot be read to its end ({error.strerror}); fetch it again") from error
    except DecodeError:
        container.close()
        raise
    index = StreamIndex(path, container, stream, packets)
    index.context.options = STRICT if _is_for_strict_decoder(index) else TOLERANT
    return index


def _is_for_strict_decoder(index: StreamIndex) -> bool:
    """Return whether a decoder that starts at any key packet finds nothing wrong with a sound file.

    In H.264, pictures of an open group may let go of ones before its key picture, which are not there then.
    """
    return index.codec != "h264" or all(
        starts_closed_group(index.packets[key], index.codec, index.context.extradata)
        for key in index.key_positions
    )


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        raise DecodeError(f"{path}: has no video stream; drop it from the list")
    if stream.codec_context is None:
        raise DecodeError(f"{path}: no decoder for its video stream; write it again as H.264")
    width, height = stream.codec_context.width, stream.codec_context.height
    if not 0 < width * height <= MAX_PIXELS:
        size = f"{width} x {height} pixels" if width * height else "of no or too large a size"
        largest = f"{LARGEST_PICTURE[0]} x {LARGEST_PICTURE[1]}"
        raise DecodeError(f"{path}: its pictures are {size}; up to {largest} pixels are read")
    stream.codec_context.thread_count = 1  # the workers run in parallel, not the decoder
    return stream
