"""A copy of a video with its predictions written on it."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from gcvideo.data.decoding import open_video
from gcvideo.evaluation.timeline import Ranked

MEMORY_PER_READ = 256 * 2**20
"""Bytes of decoded pictures held at a time."""


def write_annotated(
    source: Path,
    target: Path,
    top_at: Callable[[float], Sequence[Ranked]],
    *,
    report: Callable[[int, int], None],
) -> None:
    """Write `source` as an H.264 mp4 at its own size, each frame under the classes of its moment.

    Frames are shown at the source's average rate. There is no sound.

    Args:
        source: The video.
        target: The file to write; its folder must exist. Replaced whole when done.
        top_at: The likeliest classes at a moment, in seconds.
        report: Called now and then with the number of frames written, and of all frames.

    Raises:
        DecodeError: The source cannot be read.
    """
    unfinished = target.with_name(f".{target.name}.part")
    with open_video(source, "pyav") as reader, av.open(str(unfinished), "w", format="mp4") as container:
        height, width = reader.frames_at([0]).shape[1:3]
        stream = container.add_stream("libx264", rate=Fraction(reader.fps).limit_denominator(1001))
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        chunk = max(MEMORY_PER_READ // (height * width * 3), 1)
        for first in range(0, len(reader), chunk):
            numbers = range(first, min(first + chunk, len(reader)))
            for number, frame in zip(numbers, reader.frames_at(numbers), strict=True):
                picture = caption(frame.numpy(), top_at(number / reader.fps))
                even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            report(numbers.stop, len(reader))
        container.mux(stream.encode())
    unfinished.replace(target)


def caption(picture: UInt8[np.ndarray, "H W 3"], top: Sequence[Ranked]) -> UInt8[np.ndarray, "H W 3"]:
    """The picture with one line a class at its top, as many as fit: a bar as long as it is probable, and its
    name."""
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
