"""Small video files whose frame i shows the number i, and the reading of it back from pixels.

A frame is a 4 x 4 board of black and white cells, large enough to survive lossy coding: one white
corner (top left) and three black ones say which way is up, nine cells hold the number in binary and
three hold a check sum. What a reader should have returned is so read from the picture alone.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

BOARD_CELLS = 4
NUMBER_BITS = 9
CHECK_BITS = 3
CORNERS = {(0, 0): 1, (0, 3): 0, (3, 0): 0, (3, 3): 0}
BIT_CELLS = [
    (row, column)
    for row in range(BOARD_CELLS)
    for column in range(BOARD_CELLS)
    if (row, column) not in CORNERS
]

H264_OPTIONS = {"preset": "veryfast", "crf": "28"}


def h264(**parameters: int) -> dict[str, str]:
    """Options of libx264 with a fixed distance of key frames; x264's own names."""
    settings = {"keyint": 30, "min-keyint": 1, "scenecut": 0, "bframes": 3, "threads": 1}
    settings |= {name.replace("_", "-"): value for name, value in parameters.items()}
    pairs = ":".join(f"{name}={value}" for name, value in settings.items())
    return H264_OPTIONS | {"x264-params": pairs}


def numbered_picture(number: int, *, height: int = 96, width: int = 128) -> np.ndarray:
    """An RGB picture that shows `number`, 0..511."""
    if not 0 <= number < 2**NUMBER_BITS:
        raise ValueError(f"{number} does not fit the board; it holds 0..{2**NUMBER_BITS - 1}")
    code = number | _check_sum(number) << NUMBER_BITS
    board = np.zeros((BOARD_CELLS, BOARD_CELLS), dtype=np.uint8)
    for cell, white in CORNERS.items():
        board[cell] = white
    for bit, cell in enumerate(BIT_CELLS):
        board[cell] = code >> bit & 1
    rows = np.arange(height) * BOARD_CELLS // height
    columns = np.arange(width) * BOARD_CELLS // width
    picture = 16 + 220 * board[rows][:, columns]
    return np.repeat(picture[:, :, None], 3, axis=2).astype(np.uint8)


def number_shown(picture: np.ndarray) -> int:
    """The number on an RGB picture; ValueError where it is turned, mirrored, blurred or none."""
    rows, columns = (_inside_cells(size) for size in picture.shape[:2])
    samples = picture[np.ix_(rows, columns)].reshape(BOARD_CELLS, 3, BOARD_CELLS, 3, 3)
    board = samples.mean(axis=(1, 3, 4))
    if np.any((board > 90) & (board < 165)):
        raise ValueError(f"cells are neither black nor white:\n{board.round()}")
    cells = (board > 128).astype(int)
    if any(cells[cell] != white for cell, white in CORNERS.items()):
        raise ValueError(f"the white corner is not (only) at the top left:\n{cells}")
    code = sum(int(cells[cell]) << bit for bit, cell in enumerate(BIT_CELLS))
    number = code % 2**NUMBER_BITS
    if code >> NUMBER_BITS != _check_sum(number):
        raise ValueError(f"the check sum of {number} is wrong:\n{cells}")
    return number


def numbers_shown(frames: Sequence[np.ndarray] | np.ndarray) -> list[int]:
    return [number_shown(np.asarray(frame)) for frame in frames]


def write_video(
    path: Path,
    *,
    num_frames: int = 60,
    height: int = 96,
    width: int = 128,
    fps: int = 25,
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
    pixel_format: str = "yuv420p",
    times_ms: Sequence[int] | None = None,
    quarter_turns: int = 0,
    container_options: Mapping[str, str] | None = None,
) -> Path:
    """Encodes pictures 0, 1, 2, ...; the file's kind follows from the name of `path`.

    `times_ms` are presentation times in milliseconds (default: constant rate from 0).
    `quarter_turns` is how often a player has to turn the stored picture counter-clockwise; the
    stored picture is turned the other way, so that the picture shown is upright.
    """
    with av.open(str(path), "w", options=dict(container_options or {})) as container:
        stream = container.add_stream(codec, rate=fps, options=dict(options or {}))
        assert isinstance(stream, VideoStream)
        stored = numbered_picture(0, height=height, width=width)
        stored_height, stored_width = np.rot90(stored, -quarter_turns).shape[:2]
        stream.width, stream.height, stream.pix_fmt = stored_width, stored_height, pixel_format
        stream.codec_context.thread_count = 1
        unit = Fraction(1, fps) if times_ms is None else Fraction(1, 1000)
        stream.codec_context.time_base = unit
        if quarter_turns:
            stream.set_display_rotation(90 * quarter_turns)
        for number in range(num_frames):
            picture = numbered_picture(number, height=height, width=width)
            turned = np.ascontiguousarray(np.rot90(picture, -quarter_turns))
            frame = av.VideoFrame.from_ndarray(turned, format="rgb24")
            frame.pts = number if times_ms is None else times_ms[number]
            frame.time_base = unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def copy_packets(
    source: Path,
    path: Path,
    change: Callable[[int, Packet], Packet | None],
    *,
    container_options: Mapping[str, str] | None = None,
) -> Path:
    """Writes the packets of `source` again without decoding, each as `change(position, packet)`
    returns it; None leaves it out."""
    with (
        av.open(str(source)) as reader,
        av.open(str(path), "w", options=dict(container_options or {})) as writer,
    ):
        stream = writer.add_stream_from_template(reader.streams.video[0])
        packets = [packet for packet in reader.demux(video=0) if packet.size]
        for position, packet in enumerate(packets):
            changed = change(position, packet)
            if changed is not None:
                changed.stream = stream
                writer.mux(changed)
    return path


def cut_by_stream_copy(source: Path, path: Path, *, first_frame: int) -> Path:
    """The part of an MP4 from `first_frame` on, as `ffmpeg -ss TIME -i SOURCE -c copy` cuts it.

    Packets start at the key frame before; an edit list says which of them are not shown.
    """
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    times = sorted(packet.pts for packet in packets)
    start = times[first_frame]
    key = max(p for p, packet in enumerate(packets) if packet.is_keyframe and packet.pts <= start)

    def shift(position: int, packet: Packet) -> Packet | None:
        if position < key:
            return None
        packet.pts -= start
        packet.dts -= start
        return packet

    return copy_packets(
        source,
        path,
        shift,
        container_options={"avoid_negative_ts": "disabled", "use_editlist": "1"},
    )


def with_data(packet: Packet, data: bytes) -> Packet:
    """A packet with other bytes and everything else as it was."""
    changed = Packet(data)
    changed.pts, changed.dts, changed.duration = packet.pts, packet.dts, packet.duration
    changed.time_base, changed.is_keyframe = packet.time_base, packet.is_keyframe
    return changed


def _inside_cells(size: int) -> np.ndarray:
    """Three pixels of each cell, away from its blurred edges."""
    places = np.arange(BOARD_CELLS)[:, None] + [0.3, 0.5, 0.7]
    return (places.ravel() * size / BOARD_CELLS).astype(int)


def _check_sum(number: int) -> int:
    return (5 * number + number // 8 + number // 64 + 3) % 2**CHECK_BITS
