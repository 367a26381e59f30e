"""Every reader returns exactly the frames asked for: the number asked stands in the pixels."""

import random
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from av.packet import Packet

from gcvideo.data.decoding import Backend, DecodeError, VideoReader, open_video
from gcvideo.data.decoding import reader as reader_module
from gcvideo.data.decoding.decord import DecordReader, decord
from gcvideo.data.decoding.index import index_stream
from gcvideo.data.decoding.plain import why_not_plain
from gcvideo.data.decoding.pyav import PyAVReader
from tests.data.annotated import open_verified
from tests.data.encoding import (
    copy_packets,
    cut_by_stream_copy,
    h264,
    numbers_shown,
    with_data,
    write_video,
)

# A reader that hangs in C code runs no signal handler: only a thread can end it.
pytestmark = pytest.mark.timeout(60, method="thread")

NUM_FRAMES = 60
BACKENDS: tuple[Backend, ...] = ("decord", "pyav")
FAST_VPX = {"deadline": "realtime", "cpu-used": "8", "g": "25"}
X265 = {
    "preset": "ultrafast",
    "x265-params": "log-level=none:keyint=20:bframes=3:pools=1:frame-threads=1",
}


class Case(NamedTuple):
    """A way of writing a video, and what is known of the file by construction."""

    write: Callable[[Path], Path]
    numbers: list[int]
    """What frames 0, 1, 2, ... show."""
    why_not_plain: str | None
    """A part of the reason why decord does not read it, or None where it does."""


def encoded(why_not_plain: str | None = None, **how) -> Case:
    how.setdefault("num_frames", NUM_FRAMES)
    return Case(partial(write_video, **how), list(range(how["num_frames"])), why_not_plain)


def recut(first_frame: int, why_not_plain: str | None) -> Case:
    def write(path: Path) -> Path:
        source = write_video(path.with_stem("source"), options=h264(), num_frames=NUM_FRAMES)
        return cut_by_stream_copy(source, path, first_frame=first_frame)

    return Case(write, list(range(first_frame, NUM_FRAMES)), why_not_plain)


def recopied(
    change: Callable[[int, Packet], Packet | None],
    why_not_plain: str,
    *,
    source_name: str,
    numbers: list[int] | None = None,
    **how,
) -> Case:
    def write(path: Path) -> Path:
        source = write_video(path.with_name(source_name), num_frames=NUM_FRAMES, **how)
        return copy_packets(source, path, change)

    return Case(write, numbers or list(range(NUM_FRAMES)), why_not_plain)


def flag_false_keys(position: int, packet: Packet) -> Packet:
    if position in (11, 37, 41):
        packet.is_keyframe = True
    return packet


def state_decoding_times(position: int, packet: Packet) -> Packet:
    packet.pts = packet.dts
    return packet


def state_one_time(position: int, packet: Packet) -> Packet:
    packet.pts = packet.dts = 0
    return packet


def leave_out_before(first: int, position: int, packet: Packet) -> Packet | None:
    return packet if position >= first else None


def not_coded_at(place: int, *, padding: int = 0) -> Callable[[int, Packet], Packet]:
    """Puts an MPEG-4 header with vop_coded = 0 in the place of one picture."""
    header = b"\x00\x00\x01\xb6" + bytes([0b01010000, 0b01001111]) + bytes(padding)
    return lambda position, packet: with_data(packet, header) if position == place else packet


def hide_the_tenth(position: int, packet: Packet) -> Packet:
    """Clears show_frame in the tag of one VP8 frame."""
    if position != 10:
        return packet
    data = bytearray(bytes(packet))
    data[0] &= ~(1 << 4)
    return with_data(packet, bytes(data))


CASES = {
    "b_frames.mp4": encoded(options=h264()),
    "b_pyramid.mkv": encoded(options=h264(bframes=5, b_pyramid=2)),
    "without_b_frames.mp4": encoded(options=h264(bframes=0)),
    "one_group.mp4": encoded(options=h264(keyint=250)),
    "short_groups.mp4": encoded(options=h264(keyint=5)),
    "all_intra.mp4": encoded(options=h264(keyint=1)),
    "four_slices.mp4": encoded(options=h264(slices=4)),
    "late_start.mp4": encoded(options=h264(), times_ms=[1234 + 40 * i for i in range(NUM_FRAMES)]),
    "variable_rate.mp4": encoded(
        options=h264(), times_ms=[40 * i + 5 * (i % 7) + 700 * (i // 20) for i in range(NUM_FRAMES)]
    ),
    "even_size.mp4": encoded(options=h264(), height=98, width=134),
    "odd_size.webm": encoded(codec="libvpx-vp9", options=FAST_VPX, height=97, width=131),
    "vp8.webm": encoded(codec="libvpx", options=FAST_VPX),
    "vp9.webm": encoded(codec="libvpx-vp9", options=FAST_VPX),
    "vp9_alternate_reference.webm": encoded(
        codec="libvpx-vp9",
        options={"deadline": "good", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "16"},
    ),
    "cut_at_a_key_frame.mp4": recut(30, None),
    "cut_between_key_frames.mp4": recut(17, "17 of its 60 packets are not shown"),
    "one_frame.mp4": encoded("may reorder", options=h264(), num_frames=1),
    "open_groups.mp4": encoded("closed group", options=h264(keyint=12, open_gop=1)),
    "open_groups.ts": encoded("mpegts", options=h264(keyint=12, open_gop=1)),
    "intra_refresh.mp4": encoded("closed group", options=h264(intra_refresh=1)),
    "narrow.mp4": encoded("16 pixels wide", options=h264(), height=64, width=16),
    "full_chroma.mp4": encoded("yuv444p", options=h264(), pixel_format="yuv444p"),
    "turned_left.mp4": encoded("turned by 90", options=h264(), quarter_turns=1),
    "turned_over.mp4": encoded("turned by -180", options=h264(), quarter_turns=2),
    "turned_right.mp4": encoded("turned by -90", options=h264(), quarter_turns=3),
    "hevc.mp4": encoded("hevc", codec="libx265", options=X265),
    "mpeg4.avi": encoded("avi", codec="mpeg4", options={"g": "12"}, height=97, width=131),
    "mpeg4_b_frames.avi": encoded("avi", codec="mpeg4", options={"g": "12", "bf": "2"}),
    "h264.avi": encoded("avi", options=h264()),
    "motion_jpeg.avi": encoded("avi", codec="mjpeg", pixel_format="yuvj420p"),
    "mpeg2.mpg": encoded("mpeg", codec="mpeg2video", options={"g": "12", "bf": "2"}),
    "windows_media.wmv": encoded("asf", codec="wmv2"),
    "moving_picture.gif": encoded("gif", codec="gif", pixel_format="rgb8"),
    "equal_times.mp4": recopied(  # decord waits for ever on such a file
        state_one_time, "time stamps do not order", source_name="source.mp4", options=h264(bframes=0)
    ),
    "false_key_flags.mp4": recopied(
        flag_false_keys, "flags key frames", source_name="source.mp4", options=h264()
    ),
    "false_key_flags.webm": recopied(
        flag_false_keys,
        "flags key frames",
        source_name="source.webm",
        codec="libvpx-vp9",
        options=FAST_VPX,
    ),
    "decoding_times_only.mkv": recopied(
        state_decoding_times, "may reorder", source_name="source.mp4", options=h264()
    ),
    "false_key_flags_mpeg4.mp4": recopied(
        flag_false_keys, "mpeg4", source_name="source.mp4", codec="mpeg4", options={"g": "30"}
    ),
    "false_key_flags_hevc.mp4": recopied(
        flag_false_keys, "hevc", source_name="source.mp4", codec="libx265", options=X265
    ),
    "starts_between_key_frames.mkv": recopied(
        partial(leave_out_before, 10),
        "time stamps do not order",
        source_name="source.mkv",
        numbers=list(range(30, NUM_FRAMES)),  # nothing before the next key frame can be decoded
        options=h264(bframes=0),
    ),
    "starts_in_an_open_group.mkv": recopied(
        partial(leave_out_before, 11),  # the key frame shown as number 12
        "time stamps do not order",
        source_name="source.mkv",
        numbers=list(range(12, NUM_FRAMES)),
        options=h264(keyint=12, open_gop=1),
    ),
    "not_coded_picture.avi": recopied(
        not_coded_at(20),
        "avi",
        source_name="source.avi",
        numbers=[i for i in range(NUM_FRAMES) if i != 20],
        codec="mpeg4",
        options={"g": "1"},
    ),
    "hidden_frame.webm": recopied(
        hide_the_tenth,
        "1 of its 60 packets",
        source_name="source.webm",
        numbers=[i for i in range(NUM_FRAMES) if i != 10],
        codec="libvpx",
        options=FAST_VPX,
    ),
}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("videos")

    def written(name: str) -> Path:
        path = folder / Path(name).stem / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            CASES[name].write(path)
        return path

    return written


def requests(num_frames: int) -> dict[str, list[int]]:
    draw = random.Random(num_frames)
    some = sorted(draw.sample(range(num_frames), min(num_frames, 7)))
    return {
        "all": list(range(num_frames)),
        "strided": list(range(num_frames // 3, num_frames, 8)),
        "sorted": some,
        "reversed": some[::-1],
        "repeated": [index for index in some for _ in range(2)],
        "random": draw.choices(range(num_frames), k=9),
        "second": [min(1, num_frames - 1)],
        "last": [num_frames - 1],
        "neighbours": [num_frames // 2, min(num_frames // 2 + 1, num_frames - 1)],
    }


def shown_by(reader: VideoReader, indices: list[int]) -> list[int]:
    return numbers_shown(reader.frames_at(indices).numpy())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_exactly_the_frames_asked_for_are_returned(
    name: str, backend: Backend, video: Callable[[str], Path]
) -> None:
    numbers = CASES[name].numbers
    asked = requests(len(numbers))
    for kind in ("strided", "random", "second"):
        indices = asked[kind]
        with open_verified(video(name), backend) as reader:
            assert len(reader) == len(numbers)
            assert shown_by(reader, indices) == [numbers[i] for i in indices], kind


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_one_reader_answers_one_request_after_another(
    name: str, backend: Backend, video: Callable[[str], Path]
) -> None:
    numbers = CASES[name].numbers
    with open_verified(video(name), backend) as reader:
        for kind, indices in requests(len(numbers)).items():
            assert shown_by(reader, indices) == [numbers[i] for i in indices], kind


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_frames_that_are_held_one_at_a_time_are_the_same(
    name: str, backend: Backend, video: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "PART_BYTES", 1)
    numbers = CASES[name].numbers
    asked = sorted({0, *requests(len(numbers))["sorted"]})
    with open_verified(video(name), backend) as reader:
        parts = list(reader.parts_at(asked))
    assert [len(part) for part in parts] == [1] * len(asked)
    assert numbers_shown(torch.cat(parts).numpy()) == [numbers[i] for i in asked]


@pytest.mark.parametrize("name", CASES)
def test_decord_reads_verified_plain_files_and_pyav_the_others(
    name: str, video: Callable[[str], Path]
) -> None:
    expected = CASES[name].why_not_plain
    index = index_stream(video(name))
    reason = why_not_plain(index)
    index.close()
    with open_verified(video(name), "decord") as reader:
        if expected is None:
            assert reason is None
            assert isinstance(reader, DecordReader)
        else:
            assert reason is not None
            assert expected in reason
            assert isinstance(reader, PyAVReader)
    with open_verified(video(name), "pyav") as reader:
        assert isinstance(reader, PyAVReader)


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].why_not_plain is None])
def test_both_backends_return_the_same_pixels(name: str, video: Callable[[str], Path]) -> None:
    with open_verified(video(name), "decord") as decord, open_verified(video(name), "pyav") as pyav:
        torch.testing.assert_close(decord.frames_at([0, 13, 29]), pyav.frames_at([0, 13, 29]), rtol=0, atol=0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("name", "fps"),
    [
        ("b_frames.mp4", 25),
        ("cut_between_key_frames.mp4", 25),
        ("late_start.mp4", 25),
        ("variable_rate.mp4", 59 / 3.775),
        ("vp9.webm", 25),
        ("h264.avi", 25),
    ],
)
def test_fps_is_frames_over_the_time_between_them(
    name: str, fps: float, backend: Backend, video: Callable[[str], Path]
) -> None:
    with open_verified(video(name), backend) as reader:
        assert reader.fps == pytest.approx(fps, rel=1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("index", [-1, NUM_FRAMES])
def test_an_index_outside_the_video_is_an_index_error(
    index: int, backend: Backend, video: Callable[[str], Path]
) -> None:
    with (
        open_verified(video("b_frames.mp4"), backend) as reader,
        pytest.raises(IndexError, match=rf"frame {index} was asked for.* 60 frames"),
    ):
        reader.frames_at([0, index])


@pytest.mark.parametrize("backend", BACKENDS)
def test_asking_for_no_frame_is_an_error(backend: Backend, video: Callable[[str], Path]) -> None:
    with (
        open_verified(video("b_frames.mp4"), backend) as reader,
        pytest.raises(ValueError, match="no frame was asked for"),
    ):
        reader.frames_at([])


def test_a_packet_without_a_picture_is_an_error_and_moves_no_other_frame(tmp_path: Path) -> None:
    source = write_video(tmp_path / "source.avi", codec="mpeg4", options={"g": "1"})
    path = copy_packets(source, tmp_path / "padded.avi", not_coded_at(20, padding=40))
    with open_video(path, "pyav") as reader:
        assert shown_by(reader, [21, 19]) == [21, 19]
        with pytest.raises(DecodeError, match="announce 60 frames and 59 come out"):
            reader.frames_at([20])


@pytest.mark.parametrize(
    "name", ["b_frames.mp4", "cut_between_key_frames.mp4", "hevc.mp4", "open_groups.mp4", "open_groups.ts"]
)
def test_sound_time_stamps_spare_the_decode_from_the_start(
    name: str, video: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="gcvideo.data.decoding")
    numbers = CASES[name].numbers
    with open_verified(video(name), "pyav") as reader:
        for indices in requests(len(numbers)).values():
            assert shown_by(reader, indices) == [numbers[i] for i in indices]
    assert "decoded in order" not in caplog.text


def test_decord_decodes_ahead_no_longer_than_a_request_lasts(
    video: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    class WatchedReader(decord.VideoReader):
        def __init__(self, *args, **kwargs) -> None:
            super().__init__(*args, **kwargs)
            opened.append(weakref.ref(self))

    monkeypatch.setattr(decord, "VideoReader", WatchedReader)
    with open_verified(video("b_frames.mp4"), "decord") as reader:
        for _ in range(2):
            assert shown_by(reader, [7]) == [7]
            assert all(watched() is None for watched in opened)
    assert len(opened) == 2


def test_unwanted_unreferenced_pictures_are_not_decoded(
    video: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []

    def count(reader: PyAVReader, positions):
        positions = list(positions)
        decoded.append(len(positions))
        return original(reader, positions)

    original = PyAVReader._decoded
    monkeypatch.setattr(PyAVReader, "_decoded", count)
    with open_verified(video("one_group.mp4"), "pyav") as reader:
        assert shown_by(reader, [3, 50]) == [3, 50]
    assert len(decoded) == 1
    assert decoded[0] < 0.7 * NUM_FRAMES
