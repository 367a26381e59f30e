"""What a verified list says of a video decides which decoder reads it."""

import zlib
from pathlib import Path

import pytest

from data_prep import verify
from gcvideo.clip import Verified
from gcvideo.data.decoding import DecodeError, open_video
from gcvideo.data.decoding import opening as opening_module
from gcvideo.data.lists.annotations import read_annotations
from tests.data.encoding import h264, numbers_shown, write_video

PLAIN = Verified(num_frames=20, fps=25.0, width=128, height=96, plain=True)

pytestmark = pytest.mark.timeout(60, method="thread")


@pytest.fixture
def plain_video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "plain.mp4", num_frames=20, options=h264())


def test_decord_reads_what_was_found_plain_without_looking_again(plain_video, monkeypatch):
    monkeypatch.setattr(opening_module, "index_stream", None)
    with open_video(plain_video, "decord", verified=PLAIN) as reader:
        assert (reader.name, reader.fps, len(reader)) == ("decord", 25.0, 20)
        assert numbers_shown(reader.frames_at([3, 19]).numpy()) == [3, 19]


def test_pyav_reads_what_was_found_not_plain(plain_video):
    with open_video(plain_video, "decord", verified=PLAIN._replace(plain=False)) as reader:
        assert reader.name == "pyav: its list says that it is not plain"
        assert numbers_shown(reader.frames_at([3, 19]).numpy()) == [3, 19]


def test_pyav_reads_what_nobody_verified(plain_video):
    with open_video(plain_video, "decord") as reader:
        assert reader.name == "pyav: no list says that it is plain"
        assert numbers_shown(reader.frames_at([3, 19]).numpy()) == [3, 19]


def test_a_plain_file_that_decord_cannot_open_is_read_with_pyav(tmp_path):
    path = write_video(tmp_path / "a.avi", num_frames=20, codec="mpeg4")
    with open_video(path, "decord", verified=PLAIN) as reader:
        assert reader.name == "pyav: does not begin as MP4 or Matroska"
        assert numbers_shown(reader.frames_at([3, 19]).numpy()) == [3, 19]


def test_a_plain_video_that_would_fill_the_memory_is_read_with_pyav(plain_video, monkeypatch):
    monkeypatch.setattr(opening_module, "DECORD_BYTES", 20 * 3 * 128 * 96)
    assert open_video(plain_video, "decord", verified=PLAIN).name == "decord"
    monkeypatch.setattr(opening_module, "DECORD_BYTES", 20 * 3 * 128 * 96 - 1)
    with open_video(plain_video, "decord", verified=PLAIN) as reader:
        assert reader.name == "pyav: decord may decode all of it ahead, which takes too much memory"


@pytest.mark.parametrize("backend", ["decord", "pyav"])
@pytest.mark.parametrize("plain", [True, False])
def test_a_file_that_has_changed_since_is_an_error(plain_video, plain, backend):
    stale = PLAIN._replace(num_frames=21, plain=plain)
    with pytest.raises(DecodeError, match=r"plain\.mp4: has 20 frames, and had 21 when it was verified; run"):
        open_video(plain_video, backend, verified=stale)


def test_a_list_cannot_call_a_playlist_plain(tmp_path):
    clip = write_video(tmp_path / "secret.ts", num_frames=20, options=h264())
    path = tmp_path / "video.mp4"
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:0.8,", str(clip), "#EXT-X-ENDLIST", ""]
    path.write_text("\n".join(lines))
    with pytest.raises(DecodeError, match="no video file that FFmpeg can open"):
        open_video(path, "decord", verified=PLAIN)


def test_training_reads_the_list_that_verify_writes(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    write_video(videos / "plain.mp4", num_frames=20, options=h264())
    write_video(videos / "open.mp4", num_frames=30, options=h264(keyint=12, open_gop=1))
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.csv").write_text("path,label\nplain.mp4,0\nopen.mp4,1\n")

    def run(train: Path, output: Path) -> None:
        verify.main(["--root", str(videos), "--output", str(output), "--lists", str(train), "--workers", "1"])

    run(tmp_path / "lists" / "train.csv", tmp_path / "verified")
    records = read_annotations(tmp_path / "verified" / "train.csv", root=videos, num_classes=2)
    assert [record.verified for record in records] == [
        PLAIN._replace(crc32=zlib.crc32((videos / "plain.mp4").read_bytes())),
        Verified(30, 25.0, 128, 96, plain=False, crc32=zlib.crc32((videos / "open.mp4").read_bytes())),
    ]
    readers = [open_video(record.path, "decord", verified=record.verified) for record in records]
    assert [reader.name for reader in readers] == ["decord", "pyav: its list says that it is not plain"]
    assert [numbers_shown(reader.frames_at([7]).numpy()) for reader in readers] == [[7], [7]]

    # One bit of a file flips: whoever reads it says so, and so does verify.py if it is given that list.
    damaged = bytearray((videos / "plain.mp4").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (videos / "plain.mp4").write_bytes(damaged)
    said = rf"its checksum is {zlib.crc32(damaged)}, and was {records[0].verified.crc32} when it was verified"
    for backend in ("decord", "pyav"):
        with pytest.raises(DecodeError, match=said):
            open_video(records[0].path, backend, verified=records[0].verified)
    write_video(videos / "open.mp4", num_frames=30, options=h264(keyint=15))
    run(tmp_path / "verified" / "train.csv", tmp_path / "again")
    bad = (tmp_path / "again" / "bad.csv").read_text()
    assert 'open.mp4,1,train.csv,"changed since it was verified: its checksum is' in bad
    assert "plain.mp4,0,train.csv," in bad
