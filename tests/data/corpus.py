"""Every kind of video file that a data set may hold, and what is left of one that broke on the way.

Frames carry their number as a bar code (tests.data.encoding), so that a wrong frame is seen in its pixels.
`try_file` asks a file for frames in every order, of both backends, and compares each with one decode from the
first frame to the last; scripts/reliability.py counts.
"""

import os
import random
import socket
import struct
import wave
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.error import FFmpegError
from av.packet import Packet

from data_prep.videos.whole_decode import examine
from gcvideo.clip import Verified
from gcvideo.data.decoding import Backend, DecodeError, open_video
from gcvideo.data.decoding.index import index_stream
from tests.data.encoding import (
    copy_packets,
    cut_by_stream_copy,
    h264,
    number_shown,
    numbered_picture,
    with_data,
    write_video,
)

NUM_FRAMES = 40
LARGEST_MEAN_DIFFERENCE = 3.0
"""Grey levels; two frames of different numbers differ by 27 or more."""
MOST_BYTES = 256 * 2**20
"""Frames of one video that are held at a time; of larger ones not all are asked for."""
BACKENDS: tuple[Backend, ...] = ("decord", "pyav")

Write = Callable[[Path], object]


class Kind(NamedTuple):
    """A way of writing a file, called by the file's name."""

    group: str
    write: Write
    numbers: range | list[int] | None
    """What frames 0, 1, 2, ... show; None where the file is broken, and may give an error."""


class Trial(NamedTuple):
    """What one file gave."""

    num_picks: int
    num_wrong: int
    num_errors: int
    """Requests answered by DecodeError."""
    faults: list[str]
    """Of each wrong pick, or anything else that must not be: what was asked of whom and what came."""


def try_file(path: Path, numbers: Sequence[int] | None = None) -> Trial:
    """Asks both backends for frames of `path` in many orders.

    A pick is right if it is the frame of a decode in order, or shows its number where damage made the decoder
    leave out frames before it. Of a sound file (`numbers`) every pick must come. decord reads what
    data_prep/verify.py calls plain, as in training.
    """
    picks = wrong = errors = 0
    faults: list[str] = []
    truth: dict[int, np.ndarray] | None = None
    for backend, verified in (("decord", _verified(path)), ("pyav", None)):
        try:
            reader = open_video(path, backend, verified=verified)
        except DecodeError as error:
            errors += 1
            if numbers is not None or not str(error).startswith(f"{path}: "):
                faults.append(f"{backend}: {error}")
            continue
        with reader:
            if numbers is not None and len(reader) != len(numbers):
                wrong += 1
                faults.append(f"{backend}: {len(reader)} frames, expected {len(numbers)}")
                continue
            asked = requests(len(reader), whole=len(reader) * _frame_bytes(path) <= MOST_BYTES)
            if truth is None:
                truth = decoded_in_order(path, {index for indices in asked.values() for index in indices})
            for order, indices in asked.items():
                try:
                    frames = reader.frames_at(indices).numpy()
                except DecodeError as error:
                    errors += 1
                    if numbers is not None or not str(error).startswith(f"{path}: "):
                        faults.append(f"{backend}, {order}: {error}")
                    continue
                for index, frame in zip(indices, frames, strict=True):
                    picks += 1
                    expected = index if numbers is None else numbers[index]
                    if not (_is_frame(frame, truth.get(index)) or _shows(frame, expected)):
                        wrong += 1
                        faults.append(f"{backend}, {order}: another frame for {index}")
    return Trial(picks, wrong, errors, faults)


def requests(num_frames: int, *, whole: bool) -> dict[str, list[int]]:
    """Frames to ask for: rising, falling, repeated, at random, and the ends."""
    draw = random.Random(num_frames)
    some = sorted(draw.sample(range(num_frames), min(num_frames, 8)))
    asked = {
        "rising": some,
        "falling": some[::-1],
        "repeated": [index for index in some[:4] for _ in range(2)],
        "random": draw.choices(some, k=8),
        "last": [num_frames - 1],
    }
    return {"all": list(range(num_frames))} | asked if whole else asked


def decoded_in_order(path: Path, wanted: set[int]) -> dict[int, np.ndarray]:
    """The wanted frames of one decode from the first packet to the last, turned upright.

    They are counted. Behind a packet that does not decode they are numbered by their time stamps.
    """
    frames: dict[int, np.ndarray] = {}
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        assert stream is not None
        stream.codec_context.thread_count = 1
        packets = [packet for packet in container.demux(stream) if packet.size]
        times = sorted(packet.pts for packet in packets if packet.pts is not None)
        count, whole = 0, True
        for packet in [*packets, None]:
            try:
                decoded = stream.codec_context.decode(packet)
            except FFmpegError:
                whole = False
                continue
            for frame in decoded:
                number = count if whole else bisect_left(times, frame.pts or 0)
                if number in wanted:
                    frames[number] = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                count += 1
    return frames


def _verified(path: Path) -> Verified | None:
    """What data_prep/verify.py writes of it, or None where that calls it bad."""
    try:
        *_, found = examine(path)
    except (DecodeError, OSError):
        return None
    return Verified(found.num_frames, found.fps, found.width, found.height, not found.not_plain)


def _frame_bytes(path: Path) -> int:
    index = index_stream(path)
    index.close()
    return 3 * index.size[0] * index.size[1]


def _is_frame(frame: np.ndarray, truth: np.ndarray | None) -> bool:
    return (
        truth is not None
        and truth.shape == frame.shape
        and np.abs(truth.astype(np.int16) - frame).mean() <= LARGEST_MEAN_DIFFERENCE
    )


def _shows(frame: np.ndarray, number: int) -> bool:
    try:
        return number_shown(frame) == number
    except ValueError:
        return False


# Sound files.

SMALL = {"height": 64, "width": 64}
FAST_VPX = {"deadline": "realtime", "cpu-used": "8", "g": "15", "crf": "20", "b": "1M"}
SVT = {"preset": "12", "svtav1-params": "lp=1:keyint=15"}


def x265(**parameters: int) -> dict[str, str]:
    settings = {
        "log-level": "none",
        "keyint": 15,
        "min-keyint": 1,
        "bframes": 3,
        "pools": 1,
        "frame-threads": 1,
    }
    settings |= {name.replace("_", "-"): value for name, value in parameters.items()}
    return {
        "preset": "ultrafast",
        "x265-params": ":".join(f"{name}={value}" for name, value in settings.items()),
    }


CODECS: dict[str, tuple[str, dict[str, str], str]] = {
    "h264": ("libx264", h264(keyint=15), "yuv420p"),
    "hevc": ("libx265", x265(), "yuv420p"),
    "vp8": ("libvpx", FAST_VPX, "yuv420p"),
    "vp9": ("libvpx-vp9", FAST_VPX, "yuv420p"),
    "av1": ("libsvtav1", SVT, "yuv420p"),
    "mpeg4": ("mpeg4", {"g": "12", "bf": "2", "b": "2M"}, "yuv420p"),
    "mpeg2": ("mpeg2video", {"g": "12", "bf": "2", "b": "4M"}, "yuv420p"),
    "mpeg1": ("mpeg1video", {"g": "12", "bf": "2", "b": "4M"}, "yuv420p"),
    "mjpeg": ("mjpeg", {}, "yuvj420p"),
    "prores": ("prores_ks", {}, "yuv422p10le"),
    "wmv2": ("wmv2", {"b": "2M"}, "yuv420p"),
    "flv1": ("flv", {"b": "2M"}, "yuv420p"),
    "ffv1": ("ffv1", {}, "yuv420p"),
    "huffyuv": ("huffyuv", {}, "yuv422p"),
    "qtrle": ("qtrle", {}, "rgb24"),
    "png": ("png", {}, "rgb24"),
    "dnxhd": ("dnxhd", {"profile": "dnxhr_lb"}, "yuv422p"),
    "rawvideo": ("rawvideo", {}, "yuv420p"),
}
CONTAINERS_OF = {
    "h264": "mp4 mkv mov avi ts flv",
    "hevc": "mp4 mkv mov ts",
    "vp8": "webm mkv",
    "vp9": "webm mkv mp4",
    "av1": "mp4 mkv webm",
    "mpeg4": "mp4 mkv mov avi",
    "mpeg2": "mpg ts mkv",
    "mpeg1": "mpg",
    "mjpeg": "avi mov mkv",
    "prores": "mov mkv",
    "wmv2": "wmv",
    "flv1": "flv",
    "ffv1": "mkv avi",
    "huffyuv": "avi",
    "qtrle": "mov",
    "png": "mov",
    "dnxhd": "mov",
    "rawvideo": "avi",
}


def coded(codec: str, **how) -> Write:
    """A small video of this codec."""
    encoder, options, pixel_format = CODECS[codec]
    settings = {"num_frames": NUM_FRAMES, "codec": encoder, "options": options, "pixel_format": pixel_format}
    if codec == "dnxhd":
        settings |= {"height": 128, "width": 256}
    return partial(write_video, **(SMALL | settings | how))


def sound(group: str, write: Write, num_frames: int = NUM_FRAMES, first: int = 0) -> Kind:
    return Kind(group, write, range(first, first + num_frames))


def of(codec: str, group: str, **how) -> Kind:
    return sound(group, coded(codec, **how), how.get("num_frames", NUM_FRAMES))


def recopied(change: Callable[[int, Packet], Packet | None], codec: str = "h264", **how) -> Write:
    def write(path: Path) -> None:
        source = path.with_name(f"source of {path.name}")
        coded(codec, **how)(source)
        copy_packets(source, path, change)
        source.unlink()

    return write


def cut(first_frame: int) -> Write:
    """As `ffmpeg -ss TIME -c copy` cuts: an edit list hides what is before."""

    def write(path: Path) -> None:
        source = path.with_name(f"source of {path.name}")
        coded("h264")(source)
        cut_by_stream_copy(source, path, first_frame=first_frame)
        source.unlink()

    return write


def flag_false_keys(position: int, packet: Packet) -> Packet:
    if position in (4, 11, 22, 37):
        packet.is_keyframe = True
    return packet


def lose_key_flags(position: int, packet: Packet) -> Packet:
    packet.is_keyframe = position == 0
    return packet


def pack_b_frames(path: Path) -> None:
    """MPEG-4 in AVI as DivX wrote it: a B picture travels with the P picture before it, and an empty
    picture stands in its place."""
    source = path.with_name(f"source of {path.name}")
    coded("mpeg4", options={"g": "12", "bf": "1", "b": "2M", "b_strategy": "0"})(source)
    with av.open(str(source)) as reader:
        pictures = [packet for packet in reader.demux(video=0) if packet.size]
    is_b = [bytes(packet).split(b"\x00\x00\x01\xb6")[1][0] >> 6 == 2 for packet in pictures]
    not_coded = b"\x00\x00\x01\xb6" + bytes([0b01010000, 0b01001111])
    divx = b"\x00\x00\x01\xb2DivX503b1393p"

    def change(position: int, packet: Packet) -> Packet:
        data = not_coded if is_b[position] else bytes(packet)
        if position + 1 < len(pictures) and is_b[position + 1]:
            data += bytes(pictures[position + 1])
        if packet.is_keyframe:
            before, start, after = data.partition(b"\x00\x00\x01\xb6")
            data = before + divx + start + after
        return with_data(packet, data)

    copy_packets(source, path, change)
    source.unlink()


def two_videos(path: Path) -> None:
    """The second is larger, and shows other numbers."""
    with av.open(str(path), "w") as container:
        streams = []
        for size in (64, 128):
            stream = container.add_stream("libx264", rate=25, options=h264(keyint=15))
            stream.width = stream.height = size
            stream.pix_fmt = "yuv420p"
            streams.append(stream)
        for number in range(NUM_FRAMES):
            for stream, shown in zip(streams, (number, NUM_FRAMES - 1 - number), strict=True):
                container.mux(stream.encode(_frame(shown, stream.width, number)))
        for stream in streams:
            container.mux(stream.encode(None))


def with_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=h264(keyint=15))
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=8000)
        container.mux(audio.encode(_silence(16000)))
        container.mux(audio.encode(None))
        for number in range(NUM_FRAMES):
            container.mux(stream.encode(_frame(number, 64, number)))
        container.mux(stream.encode(None))


def _frame(number: int, size: int, time: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(numbered_picture(number, height=size, width=size), format="rgb24")
    frame.pts = time
    return frame


def _silence(num_samples: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, num_samples), np.float32), "fltp", "mono")
    frame.sample_rate = 8000
    return frame


def sound_files() -> Iterator[tuple[str, Kind]]:
    for codec, containers in CONTAINERS_OF.items():
        for container in containers.split():
            yield f"{codec}.{container}", of(codec, "codec and container")
    for container in ("mp4", "mov"):
        fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        for codec in ("h264", "hevc"):
            yield (
                f"{codec}_fragmented.{container}",
                of(codec, "codec and container", container_options=fragments),
            )

    structures = {
        "open_groups": h264(keyint=12, open_gop=1),
        "one_group": h264(keyint=250),
        "all_intra": h264(keyint=1),
        "no_b_frames": h264(keyint=15, bframes=0),
        "b_pyramid": h264(keyint=20, bframes=5, b_pyramid=2),
        "intra_refresh": h264(intra_refresh=1, keyint=15),
        "four_slices": h264(slices=4, keyint=15),
        "interlaced": h264(tff=1, keyint=15),
        "baseline": h264(keyint=15, bframes=0, cabac=0),
        "eight_references": h264(keyint=40, ref=8, bframes=3),
    }
    for name, options in structures.items():
        for container in ("mp4", "mkv", "ts"):
            yield f"{name}.{container}", of("h264", "groups of pictures", options=options)
    for name, options in {
        "hevc_closed_groups": x265(open_gop=0),
        "hevc_open_groups": x265(open_gop=1),
        "hevc_one_group": x265(keyint=250),
        "hevc_all_intra": x265(keyint=1, bframes=0),
    }.items():
        yield f"{name}.mp4", of("hevc", "groups of pictures", options=options)
    yield "packed_b_frames.avi", sound("groups of pictures", pack_b_frames)
    yield (
        "vp9_alternate_reference.webm",
        of(
            "vp9",
            "groups of pictures",
            options={"deadline": "good", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "16"},
        ),
    )

    uneven = [40 * i + 7 * (i % 5) for i in range(NUM_FRAMES)]
    gaps = [40 * i + 3000 * (i // 10) for i in range(NUM_FRAMES)]
    late = [5000 + 40 * i for i in range(NUM_FRAMES)]
    for name, times in {"variable_rate": uneven, "gaps": gaps, "starts_at_5_s": late}.items():
        for container, codec in (("mp4", "h264"), ("mkv", "h264"), ("ts", "h264"), ("webm", "vp9")):
            yield f"{name}.{container}", of(codec, "time stamps", times_ms=times)
    yield "hevc_variable_rate.mp4", of("hevc", "time stamps", times_ms=uneven)
    for container in ("mp4", "mov"):
        for first in (15, 21):
            kind = sound("time stamps", cut(first), NUM_FRAMES - first, first)
            yield f"edit_list_from_{first}.{container}", kind
    for container, codec in (
        ("mp4", "h264"),
        ("mp4", "mpeg4"),
        ("mp4", "hevc"),
        ("webm", "vp9"),
        ("mkv", "h264"),
    ):
        yield f"{codec}_false_keys.{container}", sound("key flags", recopied(flag_false_keys, codec))
        yield f"{codec}_lost_keys.{container}", sound("key flags", recopied(lose_key_flags, codec))
    yield "two_videos.mp4", Kind("streams", two_videos, list(range(NUM_FRAMES))[::-1])
    yield "two_videos.mkv", Kind("streams", two_videos, list(range(NUM_FRAMES))[::-1])
    yield "with_sound.mp4", sound("streams", with_sound)
    yield "with_sound.mkv", sound("streams", with_sound)

    for name, codec, pixels in (
        ("h264_10_bit", "h264", "yuv420p10le"),
        ("h264_444", "h264", "yuv444p"),
        ("h264_422", "h264", "yuv422p"),
        ("h264_grey", "h264", "gray"),
        ("h264_full_range", "h264", "yuvj420p"),
        ("hevc_10_bit", "hevc", "yuv420p10le"),
        ("hevc_444", "hevc", "yuv444p"),
        ("hevc_grey", "hevc", "gray"),
        ("vp9_444", "vp9", "yuv444p"),
        ("vp9_alpha", "vp9", "yuva420p"),
        ("av1_10_bit", "av1", "yuv420p10le"),
        ("prores_alpha", "prores", "yuva444p10le"),
        ("qtrle_alpha", "qtrle", "argb"),
        ("ffv1_rgb", "ffv1", "bgr0"),
        ("ffv1_16_bit", "ffv1", "gray16le"),
        ("png_alpha", "png", "rgba"),
    ):
        suffix = {"vp9": "webm", "av1": "mp4", "ffv1": "mkv"}.get(codec, "mov")
        yield f"{name}.{suffix}", of(codec, "pixels", pixel_format=pixels)

    lossless = {"options": {"preset": "ultrafast", "qp": "0"}}
    for height, width in ((98, 134), (16, 16), (8, 8), (64, 16), (16, 400), (400, 16), (2, 2)):
        yield f"h264_{width}x{height}.mp4", of("h264", "sizes", height=height, width=width, **lossless)
    for codec, suffix in (
        ("vp9", "webm"),
        ("mpeg4", "avi"),
        ("ffv1", "mkv"),
        ("mjpeg", "mov"),
        ("av1", "mp4"),
    ):
        yield f"{codec}_131x97.{suffix}", of(codec, "sizes", height=97, width=131)
    yield "h264_444_33x35.mp4", of("h264", "sizes", height=35, width=33, pixel_format="yuv444p")
    yield "h264_4096x2304.mp4", of("h264", "sizes", height=2304, width=4096, num_frames=5)
    yield "hevc_8192x256.mp4", of("hevc", "sizes", height=256, width=8192, num_frames=5)
    for turns, degrees in ((1, 90), (2, 180), (3, 270)):
        for codec, container in (("h264", "mp4"), ("h264", "mov"), ("hevc", "mp4"), ("h264", "mkv")):
            size = {"height": 64, "width": 96}
            yield f"{codec}_turned_{degrees}.{container}", of(codec, "rotation", quarter_turns=turns, **size)
    for num_frames in (1, 2, 3, 450):
        for codec, container in (("h264", "mp4"), ("vp9", "webm"), ("mpeg4", "avi"), ("h264", "mkv")):
            yield f"{codec}_{num_frames}_frames.{container}", of(codec, "lengths", num_frames=num_frames)


# Broken files.


def broken(write: Write) -> Kind:
    return Kind("broken", write, None)


def truncated(codec: str, percent: int, **how) -> Kind:
    def write(path: Path) -> None:
        coded(codec, **how)(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * percent // 100])

    return broken(write)


def overwritten(codec: str, first_percent: int, new: Callable[[int], bytes], **how) -> Kind:
    """200 bytes from this part of the file on are others."""

    def write(path: Path) -> None:
        coded(codec, **how)(path)
        data = bytearray(path.read_bytes())
        first = len(data) * first_percent // 100
        data[first : first + 200] = new(200)
        path.write_bytes(data)

    return broken(write)


def bytes_of(content: bytes) -> Kind:
    return broken(lambda path: path.write_bytes(content))


def first_bytes_of(codec: str, num_bytes: int, **how) -> Kind:
    def write(path: Path) -> None:
        coded(codec, **how)(path)
        path.write_bytes(path.read_bytes()[:num_bytes])

    return broken(write)


def with_picture_size(path: Path) -> None:
    """A PNG header that claims 192 million pixels."""
    coded("png")(path)
    header = b"IHDR" + struct.pack(">II", 64, 64)
    path.write_bytes(path.read_bytes().replace(header, b"IHDR" + struct.pack(">II", 16000, 12000)))


def sound_alone(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        container.mux(stream.encode(_silence(8000)))
        container.mux(stream.encode(None))


def wave_file(path: Path) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))


def a_socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listening:  # whose own path may have 107 bytes at most
        listening.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


def may_not_be_read(path: Path) -> None:
    coded("h264")(path)
    path.chmod(0)


def playlist(lines: list[str], clip: str) -> Kind:
    """A text that names another file, which is there."""

    def write(path: Path) -> None:
        other = path.with_name(f"{path.stem} {clip}")
        coded("h264")(other)
        path.write_text("\n".join(lines).format(path=other, name=other.name) + "\n")

    return broken(write)


def size_changes(path: Path) -> None:
    small, large = (path.with_name(f"{path.stem} {size}.ts") for size in ("small", "large"))
    coded("h264", num_frames=20)(small)
    coded("h264", num_frames=20, height=128, width=192)(large)
    path.write_bytes(small.read_bytes() + large.read_bytes())


def broken_files() -> Iterator[tuple[str, Kind]]:
    front = {"container_options": {"movflags": "faststart"}}
    for codec, suffix, how in (
        ("h264", "mp4", {}),
        ("h264", "mkv", {}),
        ("h264", "ts", {}),
        ("h264", "avi", {}),
        ("vp9", "webm", {}),
        ("mpeg4", "avi", {}),
        ("hevc", "mp4", front),
        ("h264", "mov", front),
    ):
        for percent in (10, 50, 90):
            yield f"{codec}_first_{percent}_percent.{suffix}", truncated(codec, percent, **how)
        for percent in (35, 60):
            zeros = overwritten(codec, percent, bytes, **how)
            yield f"{codec}_zeros_at_{percent}_percent.{suffix}", zeros
            noise = overwritten(codec, percent, random.Random(percent).randbytes, **how)
            yield f"{codec}_noise_at_{percent}_percent.{suffix}", noise
        yield f"{codec}_header_only.{suffix}", first_bytes_of(codec, 300, **how)
    yield "empty.mp4", bytes_of(b"")
    yield "one_byte.mp4", bytes_of(b"\x00")
    yield "text.mp4", bytes_of(b"404: not found\n" * 50)
    yield "page.mp4", bytes_of(b"<!DOCTYPE html><html><body>Video unavailable</body></html>")
    yield "archive.mp4", bytes_of(b"PK\x03\x04" + bytes(500))
    for seed in range(3):
        yield f"random_{seed}.mp4", bytes_of(random.Random(seed).randbytes(50_000))
    yield "random_behind_a_header.mkv", bytes_of(b"\x1aE\xdf\xa3" + random.Random(9).randbytes(5000))
    yield "sound_alone.mp4", broken(sound_alone)
    yield "sound.mp4", broken(wave_file)
    yield "pipe.mp4", broken(os.mkfifo)
    yield "socket.mp4", broken(a_socket)
    yield "folder.mp4", broken(Path.mkdir)
    yield "dangling_link.mp4", broken(lambda path: path.symlink_to(path.with_name("nowhere.mp4")))
    yield "link_to_itself.mp4", broken(lambda path: path.symlink_to(path))
    yield "link_to_endless_zeros.mp4", broken(lambda path: path.symlink_to("/dev/zero"))
    yield "not_there.mp4", broken(lambda path: None)
    yield "may_not_be_read.mp4", broken(may_not_be_read)
    yield "picture_size_of_a_bomb.mov", broken(with_picture_size)
    yield "size_changes.ts", broken(size_changes)
    hls = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXTINF:1.6,", "{path}", "#EXT-X-ENDLIST"]
    yield "hls_playlist.mp4", playlist(hls, "clip.ts")
    yield "hls_playlist.ts", playlist(hls, "other.ts")
    yield "concat_playlist.mp4", playlist(["ffconcat version 1.0", "file '{name}'"], "clip.mp4")
    yield (
        "dash_playlist.mp4",
        playlist(['<?xml version="1.0"?><MPD><Period><BaseURL>{name}</BaseURL></Period></MPD>'], "clip.mp4"),
    )


CORPUS: dict[str, Kind] = dict([*sound_files(), *broken_files()])
