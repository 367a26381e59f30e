"""A copy of a video with its predictions written on it."""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.stream import VideoStream
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from gcvideo.atomic import replacing
from gcvideo.data.decoding import FrameFolderReader, FrameNames
from gcvideo.data.decoding.index import index_stream, open_container
from gcvideo.data.decoding.pyav import PyAVReader
from gcvideo.prediction.sound import Silence, Sound
from gcvideo.prediction.timeline import Ranked

MEMORY_PER_READ = 256 * 2**20
"""Bytes of decoded pictures held at a time."""
TICKS_PER_SECOND = 90_000
"""MPEG's clock, in which most frame rates are whole numbers of ticks."""


def write_annotated(
    source: Path,
    target: Path,
    shown_at: Callable[[float], Sequence[Ranked]],
    *,
    frames: FrameNames = FrameNames(),  # noqa: B008 (frozen)
    report: Callable[[int, int], None],
) -> None:
    """Write `source` as an H.264 mp4 at its own size, each frame under the classes of its moment.

    Frames are shown when those of the source are, and the sound is the source's.

    Args:
        source: The video, or a folder of its frames.
        target: The file to write. Replaced whole when done, and as it was if that fails.
        shown_at: The classes at a moment, in seconds.
        frames: How pictures are named, where the source is a folder of them.
        report: Called now and then with the number of frames written, and of all frames.

    Raises:
        DecodeError: The source cannot be read.
    """
    is_folder = source.is_dir()
    reader = FrameFolderReader(source, frames) if is_folder else PyAVReader(index_stream(source))
    with (
        reader,
        nullcontext() if is_folder else open_container(source) as again,
        replacing(target) as unfinished,
        av.open(str(unfinished), "w", format="mp4") as container,
    ):
        # A picture track of the source's size, and the sound's own tracks
        height, width = reader.frames_at([0]).shape[1:3]
        stream = h264_stream(container, height=height, width=width, fps=reader.fps)
        sound = Sound(again, container) if again is not None else Silence()

        # The copy begins with the first picture or sound.
        by_clock = reader.boundaries_by_clock()
        zero = min(float(by_clock[0]), sound.start_seconds)
        sound.begin(zero=zero)
        ticks = ((by_clock - zero) * TICKS_PER_SECOND).round().long().tolist()

        # Frames in chunks that memory holds, each at its own time
        chunk = max(MEMORY_PER_READ // (height * width * 3), 1)
        for first in range(0, len(reader), chunk):
            numbers = range(first, min(first + chunk, len(reader)))
            for number, picture in zip(numbers, reader.frames_at(numbers), strict=True):
                top = shown_at(float(by_clock[number] - by_clock[0]))
                frame = captioned_frame(picture.numpy(), top, start=ticks[number], end=ticks[number + 1])
                container.mux(stream.encode(frame))
                sound.write_until(ticks[number] / TICKS_PER_SECOND)
            report(numbers.stop, len(reader))
        container.mux(stream.encode())
        sound.write_until(math.inf)


def h264_stream(container: OutputContainer, *, height: int, width: int, fps: float) -> VideoStream:
    """Add a stream for pictures at any times, about `fps` a second."""
    # Without B pictures frames are decoded as they are shown, and all that a container states of their times
    # is exact: it keeps durations between decoding times alone.
    rate = max(Fraction(fps).limit_denominator(1001), Fraction(1, 1001))
    stream = container.add_stream("libx264", rate=rate, options={"bf": "0"})
    stream.width, stream.height = width + width % 2, height + height % 2
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, TICKS_PER_SECOND)
    stream.codec_context.flags |= Flags.frame_duration
    return stream


def captioned_frame(
    picture: UInt8[np.ndarray, "H W 3"], top: Sequence[Ranked], *, start: int, end: int
) -> av.VideoFrame:
    """Return a picture under its classes, of even height and width, shown from one tick to another."""
    height, width = picture.shape[:2]
    even = np.pad(caption(picture, top), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    frame = av.VideoFrame.from_ndarray(even, format="rgb24")
    frame.pts, frame.duration = start, end - start
    frame.time_base = Fraction(1, TICKS_PER_SECOND)
    return frame


def caption(picture: UInt8[np.ndarray, "H W 3"], top: Sequence[Ranked]) -> UInt8[np.ndarray, "H W 3"]:
    """Draw the classes at the top of a picture, a line each and as many as fit.

    A line is a bar as long as the class is probable, and its name.
    """
    height, width = picture.shape[:2]
    size = max(height // 18, 9)
    line = round(size * 1.4)
    shown = top[: max(height // 3 // line, 1)]
    image = Image.fromarray(picture)
    canvas = ImageDraw.Draw(image, "RGBA")
    font = ImageFont.load_default(size)
    canvas.rectangle((0, 0, width, line * len(shown)), fill=(0, 0, 0, 150))
    for row, (name, probability) in enumerate(shown):
        y = row * line
        canvas.rectangle((0, y + 1, width * probability, y + line - 2), fill=(46, 134, 222, 170))
        canvas.text(
            (size // 2, y + line // 2), f"{probability:4.0%}  {name}", fill="white", font=font, anchor="lm"
        )
    return np.asarray(image)
