"""One video written again so that training reads it fast and exactly."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import av
from av.error import FFmpegError
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from data_prep.videos.x264 import EncodingSettings, target_size, x264_options
from gcvideo.data.decoding.bitstream import is_unreferenced, nal_length_size
from gcvideo.data.decoding.index import StreamIndex, index_stream
from gcvideo.data.decoding.plain import why_not_plain
from gcvideo.data.decoding.reader import DecodeError

_TURNS = {90: "transpose=cclock", 180: "hflip,vflip", 270: "transpose=clock"}
"""Degrees counter-clockwise -> filter."""


class Encoded(NamedTuple):
    """What was written."""

    num_frames: int
    width: int
    height: int
    seconds: Fraction
    """From the first frame's time stamp to the last one's."""


class ClockError(Exception):
    """Time stamps are missing or do not increase."""


def why_not_right(index: StreamIndex, settings: EncodingSettings) -> str | None:
    """Return why a video has to be written again, or None: it already is what encode would make of it."""
    context = index.context
    if index.container.format.name != "mov,mp4,m4a,3gp,3g2,mj2" or context.name != "h264":
        return "not H.264 in MP4"
    if (reason := why_not_plain(index)) is not None:
        return reason
    if len(index.container.streams) != 1:
        return "it holds more than the one video stream"
    size = (context.width, context.height)
    if target_size(*size, short_side=settings.short_side) != size:
        return f"its size is {size[0]}x{size[1]}"
    ends = [*index.key_positions, len(index.packets)]
    longest = max(end - start for start, end in pairwise(ends))
    if longest > settings.gop:
        return f"its groups have {longest} frames"
    return None if settings.stride is None else _why_not_for(settings.stride, index)


def _why_not_for(stride: int, index: StreamIndex) -> str | None:
    """Return why clips of this stride are not read fast from a plain H.264 file, or None.

    Of each group, none but every stride-th frame and the last may be referred to. How the stream is coded
    x264 says in the first packet.
    """
    length_size = nal_length_size(index.codec, index.context.extradata)
    assert length_size is not None  # it is H.264 in MP4
    assert index.presentation is not None  # it is plain
    if any(word not in bytes(index.packets[0]) for word in (b" cabac=0 ", b" deblock=0:")):
        return "it is not coded to be decoded fast"
    ends = [*index.key_positions, len(index.packets)]
    for start, end in pairwise(ends):
        for frame in range(start, end - 1):  # groups are closed, so that they are shown one after another
            packet = index.packets[index.presentation.shown[frame]]
            if (frame - start) % stride and not is_unreferenced(packet, length_size):
                return f"frame {frame} is referred to, which is not one of every {stride}"
    return None


def encode(source: StreamIndex, target: Path, settings: EncodingSettings) -> Encoded:
    """Write a video as H.264 in MP4: every frame, at its own time, upright, small, without sound.

    Time stamps are kept, also uneven ones, and begin at 0. Where the source's are missing or do not
    increase, frames follow one another at its average rate.

    Raises:
        DecodeError: The source is damaged, or changes its size on the way.
    """
    try:
        return _encode_plain(source, target, settings, keep_times=True)
    except ClockError:
        return _encode_plain(source, target, settings, keep_times=False)


def check_encoded(target: Path, written: Encoded, settings: EncodingSettings) -> None:
    """Read back what was written.

    Raises:
        DecodeError: It is not what encode makes, or has another frame count or duration.
    """
    index = index_stream(target)
    try:
        if (reason := why_not_right(index, settings)) is not None:
            raise DecodeError(f"{target}: was written, but {reason}")
        num_frames = len(index.packets)
        if num_frames != written.num_frames or index.presentation is None:
            raise DecodeError(f"{target}: {written.num_frames} frames were written, {num_frames} are there")
        times = index.presentation.times
        seconds = (max(times) - min(times)) * (index.stream.time_base or Fraction(0))
        if abs(seconds - written.seconds) > Fraction(1, 1000):
            raise DecodeError(
                f"{target}: lasts {float(seconds):.3f} s, expected {float(written.seconds):.3f} s"
            )
    finally:
        index.close()


def _encode_plain(
    source: StreamIndex, target: Path, settings: EncodingSettings, *, keep_times: bool
) -> Encoded:
    """Encode with B-frames, or without where x264 found no use for any.

    A stream that announces reordering and has none looks like one whose time stamps are wrong.
    """
    options = x264_options(settings)
    written, is_as_announced = _encode(source, target, settings, options, keep_times=keep_times)
    if not is_as_announced:
        options["bf"] = "0"
        written, _ = _encode(source, target, settings, options, keep_times=keep_times)
    return written


def _encode(
    source: StreamIndex,
    target: Path,
    settings: EncodingSettings,
    options: dict[str, str],
    *,
    keep_times: bool,
) -> tuple[Encoded, bool]:
    """Encode; return what was written, and whether frames are reordered if the stream says that they are."""
    rate = Fraction(source.fps).limit_denominator(1001)
    time_base = source.stream.time_base if keep_times else None
    time_base = time_base or 1 / rate
    frames = upright_frames(source, short_side=settings.short_side)
    first = next(frames)
    start, last, num_frames = first.pts or 0, -1, 0
    times: list[int] = []
    with av.open(
        str(target.absolute()), "w", format="mp4", container_options={"movflags": "+faststart"}
    ) as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        _describe(stream, first, settings, time_base=time_base)
        for frame in chain([first], frames, [None]):
            if frame is not None:
                time = num_frames
                if keep_times:
                    if frame.pts is None or frame.pts - start <= last:
                        raise ClockError
                    time = frame.pts - start
                frame.pts, frame.time_base = time, time_base
                frame.pict_type = PictureType.NONE  # the source's key frames are not the target's
                last, num_frames = time, num_frames + 1
            for packet in stream.encode(frame):
                times.append(packet.pts or 0)
                container.mux(packet)
        announced = stream.codec_context.has_b_frames
    written = Encoded(num_frames, first.width, first.height, last * time_base)
    return written, not announced or times != sorted(times)


def upright_frames(source: StreamIndex, *, short_side: int) -> Iterator[VideoFrame]:
    """Yield every frame in order, turned as a player shows it, small, 8-bit 4:2:0.

    Full-range video (yuvj) stays full-range: its levels are not changed.

    Raises:
        DecodeError: A packet does not decode, a frame is damaged, or the size changes.
    """
    reformatter = VideoReformatter()
    shape, size, pixels, turn = None, (0, 0), "", None
    for number, frame in enumerate(decoded_frames(source)):
        if shape is None:
            shape = (frame.width, frame.height, frame.rotation)
            size = target_size(frame.width, frame.height, short_side=short_side)
            pixels = "yuvj420p" if frame.format.name.startswith("yuvj") else "yuv420p"
            turn = _turning(frame.rotation, size, pixels, source)
        if (frame.width, frame.height, frame.rotation) != shape:
            raise DecodeError(f"{source.path}: its size or rotation changes at frame {number}")
        small = reformatter.reformat(
            frame, *size, format=pixels, interpolation=Interpolation.BICUBIC, threads=1
        )
        yield turn(small) if turn is not None else small


def decoded_frames(source: StreamIndex) -> Iterator[VideoFrame]:
    """Yield every frame of a file from its first packet to its last, and an error where one is missing.

    Raises:
        DecodeError: A packet does not decode, a frame is damaged, or nothing comes out.
    """
    count = 0
    source.context.flush_buffers()
    try:
        for packet in [*source.packets, None]:
            for frame in source.context.decode(packet):
                if frame.is_corrupt:
                    raise DecodeError(f"{source.path}: frame {count} is damaged")
                yield frame
                count += 1
    except FFmpegError as error:
        raise DecodeError(
            f"{source.path}: a packet behind frame {count} does not decode ({error.strerror})"
        ) from error
    if count == 0:
        raise DecodeError(f"{source.path}: none of its packets decodes")


def _describe(
    stream: VideoStream, first: VideoFrame, settings: EncodingSettings, *, time_base: Fraction
) -> None:
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = first.width, first.height, first.format.name
    context.time_base = time_base
    context.thread_count = 1
    context.gop_size = settings.gop
    for name in ("colorspace", "color_range", "color_primaries", "color_trc"):
        setattr(context, name, getattr(first, name))


def _turning(
    rotation: int, size: tuple[int, int], pixels: str, source: StreamIndex
) -> Callable[[VideoFrame], VideoFrame] | None:
    """Return what turns frames of this size upright, or None where they are."""
    if rotation % 360 == 0:
        return None
    if rotation % 360 not in _TURNS:
        raise DecodeError(f"{source.path}: is shown turned by {rotation} degrees; no quarter turn")
    graph = Graph()
    names = _TURNS[rotation % 360]
    steps = [
        graph.add_buffer(width=size[0], height=size[1], format=VideoFormat(pixels), time_base=Fraction(1, 1)),
        *(graph.add(*name.split("=")) for name in names.split(",")),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*steps).configure()

    def turn(frame: VideoFrame) -> VideoFrame:
        time = frame.pts
        graph.push(frame)
        turned = graph.pull()
        assert isinstance(turned, VideoFrame)
        turned.pts = time
        return turned

    return turn
