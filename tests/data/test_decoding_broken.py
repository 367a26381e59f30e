"""What cannot be read is a DecodeError that names the file, and never a wrong frame or a wait."""

import os
import re
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from av.packet import Packet

from gcvideo.clip import Verified
from gcvideo.data.decoding import Backend, DecodeError, open_video
from gcvideo.data.decoding.index import index_stream
from gcvideo.data.decoding.plain import why_not_plain
from tests.data.encoding import copy_packets, h264, numbers_shown, with_data, write_video

pytestmark = pytest.mark.timeout(60, method="thread")

BACKENDS: tuple[Backend, ...] = ("decord", "pyav")


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere.mp4"))


def nothing(path: Path) -> None:
    pass


def an_empty_file(path: Path) -> None:
    path.touch()


def a_text(path: Path) -> None:
    path.write_text("404: not found\n" * 100)


def random_bytes(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(100_000))


def an_unreadable_file(path: Path) -> None:
    write_video(path, num_frames=2, options=h264())
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")


def sound_alone(path: Path) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))


def an_hls_playlist(path: Path) -> None:
    clip = write_video(path.with_name("clip.ts"), num_frames=10, options=h264())
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:0.4,", str(clip), "#EXT-X-ENDLIST", ""]
    path.write_text("\n".join(lines))


def a_concat_playlist(path: Path) -> None:
    write_video(path.with_name("clip.mp4"), num_frames=10, options=h264())
    path.write_text("ffconcat version 1.0\nfile clip.mp4\n")


def a_file_cut_before_its_table(path: Path) -> None:
    write_video(path, options=h264())
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (a_folder, "is a folder"),
        (a_pipe, "neither a file nor a folder"),
        (a_dangling_link, "a link to nothing"),
        (nothing, "No such file"),
        (an_empty_file, "is empty"),
        (an_unreadable_file, "may not be read"),
        (a_text, "no video file that FFmpeg can open"),
        (random_bytes, "no video file that FFmpeg can open"),
        (sound_alone, "no video file that FFmpeg can open"),
        (an_hls_playlist, "no video file that FFmpeg can open"),
        (a_concat_playlist, "no video file that FFmpeg can open"),
        (a_file_cut_before_its_table, "no video file that FFmpeg can open"),
    ],
)
def test_what_is_no_video_is_refused_when_opened(
    write: Callable[[Path], None], message: str, backend: Backend, tmp_path: Path
) -> None:
    path = tmp_path / "video.mp4"
    write(path)
    with pytest.raises(DecodeError, match=message) as raised:
        open_video(path, backend)
    assert str(raised.value).startswith(f"{path}: ")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_with_sound_alone_is_refused(backend: Backend, tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(DecodeError, match="has no video stream"):
        open_video(path, backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("share_kept", [0.7, 0.9])
def test_a_truncated_file_gives_right_frames_or_an_error(
    share_kept: float, backend: Backend, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "cut.mp4", options=h264(), container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share_kept)])
    right = _right_frames_or_errors(path, backend, 60)
    assert 5 < right < 60


@pytest.mark.parametrize("share_kept", [0.7, 0.9])
def test_a_truncated_file_is_not_for_decord(share_kept: float, tmp_path: Path) -> None:
    path = write_video(tmp_path / "cut.mp4", options=h264(), container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share_kept)])
    index = index_stream(path)
    assert re.fullmatch(r"its container states 60 frames and holds \d+", why_not_plain(index) or "")
    index.close()


def damaged_copy(path: Path, spoil: Callable[[bytes], bytes], *, bframes: int = 0) -> Path:
    """A video whose packet 40 is spoiled, between the key frames 30 and 60."""
    source = write_video(
        path.with_stem("source"), height=192, width=256, num_frames=80, options=h264(bframes=bframes)
    )

    def damage(position: int, packet: Packet) -> Packet:
        return with_data(packet, spoil(bytes(packet))) if position == 40 else packet

    return copy_packets(source, path, damage)


def cut_short(data: bytes) -> bytes:
    return data[: len(data) // 2]


def overwritten(data: bytes) -> bytes:
    return data[:4] + b"\xff" * (len(data) - 4)


def scratched(data: bytes) -> bytes:
    kept = len(data) * 2 // 3
    return data[:kept] + b"\x55" * (len(data) - kept)


@pytest.mark.parametrize("spoil", [cut_short, overwritten, scratched])
def test_a_file_that_may_be_damaged_is_not_for_decord(
    spoil: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = damaged_copy(tmp_path / "damaged.mp4", spoil)
    assert _right_frames_or_errors(path, "decord", 80) == 60  # frames 40 to 59 are errors
    with open_video(path, "decord") as reader:
        assert reader.name == "pyav: no list says that it is plain"


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
@pytest.mark.parametrize("spoil", [cut_short, overwritten, scratched])
def test_pyav_gives_the_frames_before_a_damaged_packet_and_errors_up_to_the_next_key_frame(
    spoil: Callable[[bytes], bytes], suffix: str, tmp_path: Path
) -> None:
    path = damaged_copy(tmp_path / f"damaged{suffix}", spoil)
    with open_video(path, "pyav") as reader:
        assert numbers_shown(reader.frames_at([3, 31, 39]).numpy()) == [3, 31, 39]
        assert numbers_shown(reader.frames_at([60, 79]).numpy()) == [60, 79]
        for damaged in ([40], [45], [20, 59]):
            with pytest.raises(DecodeError, match=rf"damaged\{suffix}"):
                reader.frames_at(damaged)


def test_damage_is_seen_where_frames_are_counted_for_want_of_time_stamps(tmp_path: Path) -> None:
    path = damaged_copy(tmp_path / "damaged.avi", scratched, bframes=3)
    with open_video(path, "pyav") as reader:
        assert numbers_shown(reader.frames_at([3, 29, 60, 79]).numpy()) == [3, 29, 60, 79]
        with pytest.raises(DecodeError, match="frame 59 is damaged"):
            reader.frames_at([59])


def _right_frames_or_errors(path: Path, backend: Backend, num_frames: int) -> int:
    """How many of the first frames can be read one by one; each shows its number."""
    right = 0
    for index in range(num_frames):
        with open_video(path, backend) as reader:
            try:
                frames = reader.frames_at([index])
            except (DecodeError, IndexError):
                continue
            assert numbers_shown(frames.numpy()) == [index]
            right += 1
    return right


def test_a_frame_size_that_changes_is_an_error(tmp_path: Path) -> None:
    small = write_video(tmp_path / "small.ts", num_frames=20, options=h264(bframes=0))
    large = write_video(tmp_path / "large.ts", num_frames=20, options=h264(bframes=0), height=128, width=192)
    path = tmp_path / "both.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    with (
        open_video(path, "pyav") as reader,
        pytest.raises(DecodeError, match=r"frame size changes from \(96, 128\) to \(128, 192\)"),
    ):
        reader.frames_at(range(len(reader)))


def test_without_decord_the_error_names_the_other_backend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "decord", None)
    monkeypatch.delitem(sys.modules, "gcvideo.data.decoding.decord", raising=False)
    path = write_video(tmp_path / "video.mp4", num_frames=2, options=h264())
    with pytest.raises(ModuleNotFoundError, match="use backend pyav"):
        open_video(path, "decord", verified=Verified(2, 25.0, 128, 96, plain=True))
    with open_video(path, "pyav") as reader:
        assert len(reader) == 2
