"""Short videos with random bits flipped inside their packets, and what a reader gives of them.

The pictures are a texture that drifts behind a moving square: most of what damage does to them is seen. A
picture is compared with the one that the undamaged file gives; scripts/reliability.py counts.
"""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from gcvideo.clip import Verified
from gcvideo.data.decoding import DecodeError, open_video
from gcvideo.data.decoding.checksum import crc32_of
from tests.data.encoding import copy_packets, h264, with_data

NUM_FRAMES = 48
HEIGHT, WIDTH = 144, 192
PICKS = 8
"""Frames of each file that are asked for, each alone."""
OFF_LEVELS = 8
"""Grey levels by which a pixel of another picture differs."""
VPX = {"deadline": "realtime", "cpu-used": "5", "g": "16", "b": "1M"}
CODECS = {
    "H.264": ("libx264", h264(keyint=16), "mp4"),
    "HEVC": ("libx265", {"preset": "fast", "x265-params": "log-level=none:keyint=16:pools=1"}, "mp4"),
    "VP8": ("libvpx", VPX, "webm"),
    "VP9": ("libvpx-vp9", VPX, "webm"),
    "MPEG-4": ("mpeg4", {"g": "16", "bf": "2", "b": "2M"}, "mp4"),
}


def pictures(seed: int = 0) -> Iterator[np.ndarray]:
    """RGB pictures of a texture that drifts, and of a square that moves the other way."""
    draw = np.random.default_rng(seed)
    shape = (HEIGHT // 8 + 8, WIDTH // 8 + 16, 1)
    coarse = np.kron(draw.integers(0, 256, (*shape[:2], 3)), np.ones((8, 8, 1)))
    texture = (coarse + draw.normal(0, 8, coarse.shape)).clip(0, 255).astype(np.uint8)
    for number in range(NUM_FRAMES):
        picture = texture[number : number + HEIGHT, 2 * number : 2 * number + WIDTH].copy()
        square = np.s_[20 + number : 60 + number, 140 - 2 * number : 180 - 2 * number]
        picture[square] = 255 - picture[square]
        yield picture


def write_sound(folder: Path, codec: str) -> Path:
    """A sound video of a codec."""
    encoder, options, suffix = CODECS[codec]
    path = folder / f"{codec}.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=25, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(pictures()):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def flip_bits(source: Path, path: Path, *, seed: int) -> Path:
    """`source` with one, two or five bits flipped, anywhere in its packets."""
    draw = random.Random(seed)
    with av.open(str(source)) as container:
        sizes = [packet.size for packet in container.demux(video=0) if packet.size]
    flips = Counter(draw.choices(range(len(sizes)), weights=sizes, k=draw.choice([1, 2, 5])))

    def damage(position: int, packet: Packet) -> Packet:
        data = bytearray(bytes(packet))
        for bit in draw.sample(range(8 * len(data)), flips[position]):
            data[bit // 8] ^= 1 << bit % 8
        return with_data(packet, bytes(data)) if flips[position] else packet

    return copy_packets(source, path, damage)


def try_damaged(folder: Path, codec: str, *, num_files: int, is_verified: bool = False) -> list[str]:
    """Ask for frames of damaged files, and return of each whether it is an error, right, off or far off.

    A picture is off where a pixel is, and far off where its pixels are on average.

    Args:
        folder: Where to write the files.
        codec: One of CODECS.
        num_files: How many are damaged.
        is_verified: Whether they are opened from a list that has the checksum of the undamaged file.
    """
    sound = write_sound(folder, codec)
    with open_video(sound) as reader:
        truth = reader.frames_at(range(NUM_FRAMES)).numpy().astype(np.int16)
    verified = Verified(NUM_FRAMES, 25.0, WIDTH, HEIGHT, plain=True, crc32=crc32_of(sound))
    outcomes = []
    for seed in range(num_files):
        path = flip_bits(sound, folder / f"damaged{sound.suffix}", seed=seed)
        for pick in sorted(random.Random(seed).sample(range(NUM_FRAMES), PICKS)):
            try:
                with open_video(path, verified=verified if is_verified else None) as reader:
                    difference = np.abs(reader.frames_at([pick]).numpy()[0] - truth[pick])
            except DecodeError:
                outcomes.append("error")
            else:
                degree = int(difference.max() > OFF_LEVELS) + int(difference.mean() > OFF_LEVELS)
                outcomes.append(("right", "off", "far off")[degree])
    return outcomes
