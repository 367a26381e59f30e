import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from data_prep import verify
from data_prep.lists.video_lists import read_lists
from data_prep.videos import whole_decode
from gcvideo.atomic import read_table
from gcvideo.data.decoding.reader import DecodeError
from gcvideo.data.lists.annotations import read_annotations
from tests.data.encoding import cut_by_stream_copy, h264, write_video

REAL_VIDEOS = Path(__file__).resolve().parents[3] / "shared/realvideos"
SVT = {"preset": "12", "svtav1-params": "lp=1"}
HEVC = {"preset": "ultrafast", "x265-params": "log-level=none:pools=1"}


def run(root: Path, output: Path, *options: str) -> None:
    arguments = ["--root", str(root), "--output", str(output), "--workers", "1", *options]
    assert verify.main(arguments) == 0


def table(file: Path) -> dict[str, dict[str, str]]:
    return {row["path"]: row for row in read_table(file)}


def sound_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), "f4"), "fltp", "mono")
        silence.sample_rate = 44100
        container.mux([*stream.encode(silence), *stream.encode(None)])


def damaged(whole: Path, path: Path) -> None:
    """A video with bytes of the middle of its picture data overwritten."""
    data = bytearray(whole.read_bytes())
    start = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 3
    data[start : start + 400] = random.Random(0).randbytes(400)
    path.write_bytes(data)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of every kind."""
    root = tmp_path_factory.mktemp("zoo")
    good = write_video(root / "good.mp4", num_frames=60, options=h264(keyint=16))
    whole = good.read_bytes()
    (root / "empty.mp4").touch()
    (root / "truncated.mp4").write_bytes(whole[: len(whole) // 2])  # its index is at the end
    front = write_video(
        root / "front.mp4",
        options=h264(keyint=16),
        container_options={"movflags": "+faststart"},
    ).read_bytes()
    (root / "truncated, index in front.mp4").write_bytes(front[: len(front) * 2 // 3])
    (root / "random.mp4").write_bytes(random.Random(0).randbytes(50_000))
    sound_only(root / "audio only.mp4")
    (root / "text.mp4").write_text("<html>404 not found</html>")
    (root / "folder.mp4").mkdir()
    (root / "dangling.mp4").symlink_to("nowhere.mp4")
    (root / "link.mp4").symlink_to("good.mp4")
    os.mkfifo(root / "fifo.mp4")
    damaged(good, root / "damaged.mp4")
    write_video(root / "one frame.mp4", num_frames=1)
    (root / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:2,\ngood.mp4\n#EXT-X-ENDLIST\n")
    (root / "concat.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    write_video(root / "av1.mp4", num_frames=20, codec="libsvtav1", options=SVT)
    write_video(root / "hevc.mp4", num_frames=20, codec="libx265", options=HEVC)
    write_video(root / "10-bit.mp4", num_frames=20, pixel_format="yuv420p10le")
    write_video(root / "odd sizes.mp4", width=127, height=95, pixel_format="yuv444p")
    write_video(root / "turned.mp4", num_frames=20, quarter_turns=1)
    write_video(root / "視頻 (ünïcode) 'and' spaces.mp4", num_frames=20)
    write_video(root / "-begins with a dash.mp4", num_frames=20)
    write_video(root / "open groups.mp4", options=h264(keyint=16) | {"flags": "-cgop"})
    (root / "two\nlines.mp4").write_bytes(whole)
    cut_by_stream_copy(
        write_video(root / "long groups.mp4", options=h264(keyint=250)),
        root / "cut by stream copy.mp4",
        first_frame=37,
    )
    return root


@pytest.fixture(scope="module")
def verified(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("verified")
    run(zoo, output)
    return output


BAD = {
    "empty.mp4": "is empty",
    "truncated.mp4": "no video file that FFmpeg can open",
    "truncated, index in front.mp4": "is cut off",
    "random.mp4": "no video file that FFmpeg can open",
    "audio only.mp4": "has no video stream",
    "text.mp4": "no video file that FFmpeg can open",
    "folder.mp4": "is a folder",
    "dangling.mp4": "a link to nothing",
    "fifo.mp4": "neither a file nor a folder",
    "damaged.mp4": "frame",
    "playlist.mp4": "no video file that FFmpeg can open",
    "concat.mp4": "no video file that FFmpeg can open",
    "two\\nlines.mp4": "name with control characters",
}


@pytest.mark.parametrize("name", BAD)
def test_a_broken_file_is_a_row_with_its_reason(verified: Path, name: str) -> None:
    row = table(verified / "bad.csv")[name.replace("\\n", "\n")]
    assert BAD[name] in row["reason"]
    assert str(verified) not in row["reason"]


GOOD = {  # frames, width, height, codec, rotation, plain
    "good.mp4": (60, 128, 96, "h264", 0, 1),
    "link.mp4": (60, 128, 96, "h264", 0, 1),
    "one frame.mp4": (1, 128, 96, "h264", 0, 0),
    "av1.mp4": (20, 128, 96, "av1", 0, 0),
    "hevc.mp4": (20, 128, 96, "hevc", 0, 0),
    "10-bit.mp4": (20, 128, 96, "h264", 0, 0),
    "odd sizes.mp4": (60, 127, 95, "h264", 0, 0),
    "turned.mp4": (20, 128, 96, "h264", 90, 0),
    "視頻 (ünïcode) 'and' spaces.mp4": (20, 128, 96, "h264", 0, 1),
    "-begins with a dash.mp4": (20, 128, 96, "h264", 0, 1),
    "cut by stream copy.mp4": (23, 128, 96, "h264", 0, 0),
    "long groups.mp4": (60, 128, 96, "h264", 0, 1),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_readable_file_is_a_row_of_what_came_out_of_it(verified: Path, name: str) -> None:
    row = table(verified / "videos.csv")[name]
    found = (*(int(row[key]) for key in ("num_frames", "width", "height")), row["codec"])
    assert (*found, int(row["rotation"]), int(row["plain"])) == GOOD[name]
    assert (row["fps"], row["stream"]) == ("25.0", "0")


def test_every_name_is_in_exactly_one_of_the_two_lists(zoo: Path, verified: Path) -> None:
    good, bad = table(verified / "videos.csv"), table(verified / "bad.csv")
    assert not good.keys() & bad.keys()
    assert {*good, *bad} == {path.name for path in zoo.iterdir()}


def test_not_plain_says_why(verified: Path) -> None:
    rows = table(verified / "not_plain.csv")
    assert "av1" in rows["av1.mp4"]["reason"]
    assert "turned by 90" in rows["turned.mp4"]["reason"]
    assert "not shown" in rows["cut by stream copy.mp4"]["reason"]
    plain = {name for name, row in table(verified / "videos.csv").items() if row["plain"] == "1"}
    assert not plain & rows.keys()


def test_a_file_that_may_not_be_read_is_a_row() -> None:
    script = """
import os, sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
from data_prep import verify  # before the code may not be read any more
from data_prep.videos import whole_decode
if os.geteuid() == 0:  # who may read everything
    os.setgid(65534), os.setuid(65534)
[row] = verify.verify_one(verify.VideoFile("secret.mp4", Path(sys.argv[2])))
print(row["bad"])
"""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        Path(folder).chmod(0o755)
        secret = write_video(Path(folder) / "secret.mp4", num_frames=2)
        secret.chmod(0)
        shown = subprocess.run(
            [sys.executable, "-c", script, str(Path(__file__).parents[2]), str(secret)],
            capture_output=True,
            text=True,
        )
    assert "may not be read by this user" in shown.stdout, shown.stderr


def test_a_decoder_that_crashes_or_hangs_is_a_row_and_not_the_end(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "in"
    root.mkdir()
    for name in ("a.mp4", "crash.mp4", "hang.mp4", "z.mp4"):
        shutil.copy(zoo / "good.mp4", root / name)
    monkeypatch.setattr(verify, "verify_one", misbehaving)
    run(root, tmp_path / "out", "--time-limit-seconds", "4")
    assert list(table(tmp_path / "out/videos.csv")) == ["a.mp4", "z.mp4"]
    rows = table(tmp_path / "out/bad.csv")
    assert "killed by SIGSEGV" in rows["crash.mp4"]["reason"]
    assert "no answer within 4 s" in rows["hang.mp4"]["reason"]


def misbehaving(task: verify.VideoFile) -> Iterator[dict[str, Any]]:
    if task.path == "crash.mp4":
        os.kill(os.getpid(), 11)
    if task.path == "hang.mp4":
        threading.Event().wait()
    yield from verify.verify_one(task)


def decord_misbehaving(task: verify.VideoFile) -> Iterator[dict[str, Any]]:
    def hang(*_: object) -> str:
        time.sleep(60)
        return ""

    whole_decode._why_decord_differs = hang  # in a worker of its own
    yield from verify.verify_one(task)


def test_a_video_on_which_only_decord_hangs_is_good_and_not_plain(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "in"
    root.mkdir()
    shutil.copy(zoo / "good.mp4", root / "a.mp4")
    monkeypatch.setattr(verify, "verify_one", decord_misbehaving)
    run(root, tmp_path / "out", "--time-limit-seconds", "4")
    row = table(tmp_path / "out/videos.csv")["a.mp4"]
    assert (row["num_frames"], row["plain"]) == ("60", "0")
    assert "hangs or crashes" in table(tmp_path / "out/not_plain.csv")["a.mp4"]["reason"]


@pytest.mark.parametrize(
    ("wrong", "frame"),
    [(lambda picks: [max(0, pick - 1) for pick in picks], "nearest"), (lambda picks: picks[::-1], "")],
)
def test_a_decord_that_returns_other_frames_makes_a_video_not_plain(
    zoo: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: Callable[[list[int]], list[int]],
    frame: str,
) -> None:
    from gcvideo.data.decoding.decord import DecordReader

    right = DecordReader.frames_at
    monkeypatch.setattr(DecordReader, "frames_at", lambda self, picks: right(self, wrong(picks)))
    *_, properties = whole_decode.examine(zoo / "good.mp4")
    assert "read by decord, frame" in properties.not_plain
    assert frame in properties.not_plain


def test_a_training_reader_that_returns_other_frames_makes_a_video_bad(
    zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gcvideo.data.decoding.pyav import PyAVReader

    right = PyAVReader.frames_at
    monkeypatch.setattr(PyAVReader, "frames_at", lambda self, picks: right(self, picks[::-1]))
    with pytest.raises(DecodeError, match="read at random, frame 0 differs"):
        list(whole_decode.examine(zoo / "good.mp4"))


@pytest.mark.skipif(not REAL_VIDEOS.is_dir(), reason="needs the real videos")
def test_a_video_that_only_a_decode_in_order_reads_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    """The training reader is held to its word before the decoder has seen the file in order."""
    from gcvideo.data.decoding import index as decoding_index
    from gcvideo.data.decoding.pyav import PyAVReader

    old_x264 = REAL_VIDEOS / "assorted/imageio-binaries/cockatoo.mp4"
    *_, properties = whole_decode.examine(old_x264)
    assert properties.num_frames == 280
    monkeypatch.setattr(PyAVReader, "_learn_encoder", lambda self: None)
    monkeypatch.setattr(decoding_index, "STRICT", decoding_index.TOLERANT)  # or else it decodes in order
    with pytest.raises(DecodeError, match="is damaged"):
        list(whole_decode.examine(old_x264))


def test_lists_keep_their_names_and_labels_and_training_reads_them(zoo: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "classes.txt").write_text("a\nb\n")
    (lists / "train.csv").write_text("path,label\ngood.mp4,1\nempty.mp4,0\nlink.mp4,0\n")
    (lists / "test.csv").write_text("path,label\nturned.mp4,\nmissing.mp4,\n")
    files = [str(lists / name) for name in ("train.csv", "test.csv")]
    run(zoo, tmp_path / "out", "--lists", *files)
    records = read_annotations(tmp_path / "out/train.csv", root=zoo, num_classes=2)
    assert [(record.video_id, record.label) for record in records] == [("good.mp4", 1), ("link.mp4", 0)]
    assert (tmp_path / "out/classes.txt").read_text() == "a\nb\n"
    assert [(row["path"], row["label"], row["list"]) for row in read_table(tmp_path / "out/bad.csv")] == [
        ("empty.mp4", "0", "train.csv"),
        ("missing.mp4", "", "test.csv"),
    ]
    assert table(tmp_path / "out/test.csv")["turned.mp4"]["label"] == ""


def test_a_second_run_decodes_what_changed_and_nothing_else(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "in"
    root.mkdir()
    shutil.copy(zoo / "good.mp4", root / "a.mp4")
    (root / "b.mp4").touch()
    run(root, tmp_path / "out")
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")}
    monkeypatch.setattr(verify, "verify_one", None)  # whoever is asked to decode fails
    run(root, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")} == first
    monkeypatch.undo()
    shutil.copy(zoo / "hevc.mp4", root / "b.mp4")
    run(root, tmp_path / "out")
    assert table(tmp_path / "out/videos.csv")["b.mp4"]["codec"] == "hevc"


def test_a_video_that_was_not_transcoded_has_the_reason_of_that(zoo: Path, tmp_path: Path) -> None:
    root, lists = tmp_path / "small", tmp_path / "train.csv"
    root.mkdir()
    shutil.copy(zoo / "good.mp4", root / "mended.mp4")
    (root / "transcode_report.0-of-2.csv").write_text(
        "path,output,status,num_frames,width,height,reason\n"
        "a.avi,a.mp4,failed,,,,is empty\nmended.avi,mended.mp4,failed,,,,is empty\n"
        "other.avi,other.mp4,failed,,,,is empty\n"
    )
    lists.write_text("path,label\na.mp4,0\nmended.mp4,0\nnone.mp4,0\n")
    run(root, tmp_path / "out", "--lists", str(lists))
    assert list(table(tmp_path / "out/train.csv")) == ["mended.mp4"]
    reasons = {path: row["reason"] for path, row in table(tmp_path / "out/bad.csv").items()}
    assert reasons.pop("a.mp4") == "not transcoded: is empty"
    assert list(reasons) == ["none.mp4"]


def test_lists_are_not_overwritten_by_what_is_made_of_them(zoo: Path, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("path,label\ngood.mp4,1\n")
    with pytest.raises(ValueError, match="holds the lists to be read"):
        run(zoo, tmp_path, "--lists", str(tmp_path / "train.csv"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,start,end,label\na.mp4,3,3,1\n", r"list\.csv:2: segment t=3,3 is empty"),
        (b"path,start,label\na.mp4,3,1\n", r"list\.csv:1: the header has columns start; expected one start"),
        (b"# mine\na.mp4,1\n", r"list\.csv:1: '# mine' is not a row .*; comments are not read, remove it"),
        (b"0,a.mp4\n1,b.mp4\n", r"list\.csv:1: '0,a\.mp4' is not a row `path,label` or `path label`"),
        (b"path,label\na.mp4,1\nb, c.mp4,1\n", r"list\.csv:3: 'b,c\.mp4,1' has 3 cells; expected 2"),
        (b"path,label\n\xfc.mp4,1\n", r"list\.csv:2: is not UTF-8 text .*; write the file again as UTF-8"),
        (b"path,label\n" + b"x" * 200_000 + b",1\n", r"list\.csv:2: .* is not CSV .*; check its quotes"),
    ],
)
def test_a_list_that_means_something_else_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_lists([tmp_path / "list.csv"], root=tmp_path, num_workers=1)


def test_a_list_without_the_columns_is_an_error(zoo: Path, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("path,frames\ngood.mp4,1\n")
    with pytest.raises(
        ValueError, match=r"train\.csv:1: the header has path and 'frames'; expected a column label"
    ):
        run(zoo, tmp_path / "out", "--lists", str(tmp_path / "train.csv"))


def test_a_list_of_no_video_stays_one_and_lists_of_no_video_at_all_are_an_error(
    zoo: Path, tmp_path: Path
) -> None:
    (tmp_path / "train.csv").write_text("path,label\ngood.mp4,1\n")
    (tmp_path / "test.csv").write_text("path,label\n")
    run(zoo, tmp_path / "out", "--lists", str(tmp_path / "train.csv"), str(tmp_path / "test.csv"))
    assert list(table(tmp_path / "out/train.csv")) == ["good.mp4"]
    assert (tmp_path / "out/test.csv").read_text().startswith("path,label,num_frames")
    assert read_table(tmp_path / "out/test.csv") == []
    with pytest.raises(ValueError, match=r"test\.csv list no video"):
        run(zoo, tmp_path / "other", "--lists", str(tmp_path / "test.csv"))


def test_a_dry_run_says_how_much_there_is_to_do_and_writes_nothing(
    zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.csv").write_text("path,label\ngood.mp4,1\nempty.mp4,0\n")
    run(zoo, tmp_path / "out", "--lists", str(tmp_path / "train.csv"), "--dry-run")
    said = " ".join(capsys.readouterr().err.split())
    assert "would decode 2 videos" in said
    assert "nothing was written" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("step", ["download", "extract", "annotations", "transcode", "verify", "stats"])
def test_each_step_runs_from_anywhere_and_explains_itself(tmp_path: Path, step: str) -> None:
    script = Path(__file__).parents[2] / f"data_prep/{step}.py"
    text = subprocess.run(
        [sys.executable, str(script), "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    if step == "annotations":
        assert {"kinetics", "ucf101", "hmdb51", "ssv2", "folder"} <= set(text.split())
    else:
        for option in ("--dry-run", "--workers", "--shard", "--num-shards"):
            assert option in text


@pytest.mark.slow
@pytest.mark.skipif(not REAL_VIDEOS.is_dir(), reason="needs the real videos")
def test_every_real_video_is_verified(tmp_path: Path) -> None:
    arguments = ["--root", str(REAL_VIDEOS), "--output", str(tmp_path), "--workers", "2"]
    assert verify.main(arguments) == 0
    good, bad = table(tmp_path / "videos.csv"), table(tmp_path / "bad.csv")
    assert list(bad) == ["assorted/decord/corrupted.mp4"]
    assert sum(name.startswith("fights/") for name in good) == 300
    names = {str(p.relative_to(REAL_VIDEOS)) for p in REAL_VIDEOS.rglob("*.*") if p.is_file()}
    kinds = (".mp4", ".avi", ".mkv", ".mov")
    assert {*good, *bad} == {name for name in names if name.endswith(kinds)}
