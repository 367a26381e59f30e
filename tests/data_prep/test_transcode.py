import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from hypothesis import given
from hypothesis import strategies as st

from data_prep import transcode
from data_prep.videos import encoding, transcoding
from data_prep.videos.whole_decode import examine
from data_prep.videos.x264 import PRESETS, EncodingSettings, target_size
from gcvideo.atomic import read_table
from gcvideo.data.decoding.index import index_stream
from gcvideo.data.decoding.reader import DecodeError
from tests.data.annotated import open_verified
from tests.data.encoding import (
    copy_packets,
    cut_by_stream_copy,
    h264,
    numbers_shown,
    write_video,
)

SETTINGS = EncodingSettings(short_side=64, gop=16, crf=18, preset="veryfast")
GENERAL = SETTINGS._replace(stride=None)


def made_of(source: Path, target: Path, settings: EncodingSettings = SETTINGS) -> dict[str, object]:
    task = transcoding.Task("x", source, target, target.with_name("partial"), settings)
    [row] = transcoding.transcode_one(task)
    return row


def pictures(path: Path) -> list[np.ndarray]:
    """What a player shows: FFmpeg's own loop, and frame.rotation."""
    with av.open(str(path)) as container:
        return [
            np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
            for frame in container.decode(video=0)
        ]


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "long groups.mp4"
    return write_video(path, num_frames=70, options=h264(keyint=250))


def test_every_frame_is_there_small_and_at_its_time(source: Path, tmp_path: Path) -> None:
    row = made_of(source, tmp_path / "out.mp4")
    assert (row["status"], row["num_frames"], row["width"], row["height"]) == ("encoded", 70, 86, 64)
    shown = pictures(tmp_path / "out.mp4")
    assert numbers_shown(shown) == list(range(70))
    assert shown[0].shape == (64, 86, 3)
    assert times(tmp_path / "out.mp4") == [Fraction(n, 25) for n in range(70)]


@pytest.mark.parametrize("gop", [1, 4, 16])
def test_groups_are_closed_and_as_long_as_asked(source: Path, tmp_path: Path, gop: int) -> None:
    made_of(source, tmp_path / "out.mp4", SETTINGS._replace(gop=gop))
    index = index_stream(tmp_path / "out.mp4")
    assert index.key_positions == list(range(0, 70, gop))
    for key in index.key_positions:  # decoding can start at each, alone
        index.context.flush_buffers()
        group = index.packets[key : key + gop]
        frames = [f for packet in [*group, None] for f in index.context.decode(packet)]
        assert numbers_shown([f.to_ndarray(format="rgb24") for f in frames]) == list(
            range(key, min(70, key + gop))
        )
    index.close()


@pytest.mark.parametrize(("stride", "gop"), [(8, 32), (4, 16), (5, 10), (1, 16), (16, 64), (17, 34)])
def test_only_every_stride_th_picture_is_needed_for_others(
    source: Path, tmp_path: Path, stride: int, gop: int
) -> None:
    row = made_of(source, tmp_path / "out.mp4", SETTINGS._replace(stride=stride, gop=gop))
    assert row["status"] == "encoded", row["reason"]
    grid = (
        {n for n in range(70) if n % gop % stride == 0} | {n for n in range(70) if (n + 1) % gop == 0} | {69}
    )
    with av.open(str(tmp_path / "out.mp4")) as container:
        shown = {frame.pts: (frame.pict_type, frame.to_ndarray()) for frame in container.decode(video=0)}
    kinds = {n: kind for n, (kind, _) in enumerate(shown.values())}
    assert {n for n, kind in kinds.items() if kind == PictureType.I} == set(range(0, 70, gop))
    assert {n for n, kind in kinds.items() if kind != PictureType.B} == grid
    # A decoder that is not given the others returns the same
    with av.open(str(tmp_path / "out.mp4")) as container:
        kept = list(shown)
        packets = [p for p in container.demux(video=0) if p.size and kept.index(p.pts) in grid]
        context = container.streams.video[0].codec_context
        frames = [frame for packet in [*packets, None] for frame in context.decode(packet)]
    assert [kept.index(frame.pts) for frame in frames] == sorted(grid)
    for frame in frames:
        np.testing.assert_array_equal(frame.to_ndarray(), shown[frame.pts][1])


def test_what_is_made_for_training_is_plain_and_read_exactly(source: Path, tmp_path: Path) -> None:
    made_of(source, tmp_path / "out.mp4", SETTINGS._replace(gop=32))
    *_, found = examine(tmp_path / "out.mp4")
    assert (found.num_frames, found.not_plain) == (70, "")
    for backend in ("pyav", "decord"):
        for first in range(15):
            with open_verified(tmp_path / "out.mp4", backend) as reader:
                clip = [first + 8 * n for n in range(7)]
                assert numbers_shown(reader.frames_at(clip).numpy()) == clip


def test_a_cut_in_the_scene_moves_no_key_frame(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (8, 64, 64, 3), dtype=np.uint8)
    with av.open(str(tmp_path / "in.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for n in range(40):
            frame = av.VideoFrame.from_ndarray(noise[n // 5], "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    made_of(tmp_path / "in.mp4", tmp_path / "out.mp4", SETTINGS._replace(gop=32, short_side=32))
    index = index_stream(tmp_path / "out.mp4")
    assert index.key_positions == [0, 32]
    index.close()


@pytest.mark.parametrize(("made", "wanted"), [(SETTINGS, GENERAL), (GENERAL, SETTINGS)])
def test_files_for_training_do_for_others_and_not_the_other_way(
    source: Path, tmp_path: Path, made: EncodingSettings, wanted: EncodingSettings
) -> None:
    made_of(source, tmp_path / "once.mp4", made)
    status = "encoded" if wanted.stride else "kept"
    assert made_of(tmp_path / "once.mp4", tmp_path / "twice.mp4", wanted)["status"] == status


def test_runs_of_another_length_are_written_again(source: Path, tmp_path: Path) -> None:
    made_of(source, tmp_path / "once.mp4", SETTINGS._replace(stride=4))
    assert made_of(tmp_path / "once.mp4", tmp_path / "twice.mp4", SETTINGS)["status"] == "encoded"
    made_of(source, tmp_path / "once.mp4", SETTINGS._replace(stride=8))
    # Whoever wants every fourth finds every eighth
    row = made_of(tmp_path / "once.mp4", tmp_path / "thrice.mp4", SETTINGS._replace(stride=4))
    assert row["status"] == "kept"


def test_key_frames_of_the_original_are_not_those_of_the_result(tmp_path: Path) -> None:
    write_video(tmp_path / "in.mkv", num_frames=40, options=h264(keyint=5))
    made_of(tmp_path / "in.mkv", tmp_path / "out.mp4", SETTINGS._replace(short_side=96))  # its size
    index = index_stream(tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        intra = [n for n, f in enumerate(container.decode(video=0)) if f.pict_type == PictureType.I]
    assert intra == index.key_positions == [0, 16, 32]
    index.close()


def test_sound_is_dropped(source: Path, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        video = container.add_stream("libx264", rate=25, options=h264(keyint=16))
        audio = container.add_stream("aac", rate=44100)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), "f4"), "fltp", "mono")
        silence.sample_rate = 44100
        container.mux(audio.encode(silence))
        grey = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), "rgb24")
        container.mux([*video.encode(grey), *video.encode(None), *audio.encode(None)])
    row = made_of(tmp_path / "sound.mp4", tmp_path / "out.mp4")
    assert row["status"] == "encoded", row["reason"]
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_rotation_is_applied(tmp_path: Path, quarter_turns: int) -> None:
    write_video(tmp_path / "in.mp4", num_frames=20, quarter_turns=quarter_turns)
    row = made_of(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert (row["width"], row["height"]) == (86, 64)
    with av.open(str(tmp_path / "out.mp4")) as container:
        frames = list(container.decode(video=0))
    assert {frame.rotation for frame in frames} == {0}
    assert numbers_shown([frame.to_ndarray(format="rgb24") for frame in frames]) == list(range(20))


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_a_video_too_short_for_reordering_is_right_too(tmp_path: Path, num_frames: int) -> None:
    write_video(tmp_path / "in.avi", num_frames=num_frames, codec="mpeg4", options={"q": "3"})
    row = made_of(tmp_path / "in.avi", tmp_path / "out.mp4")
    assert (row["status"], row["num_frames"]) == ("encoded", num_frames), row["reason"]
    assert numbers_shown(pictures(tmp_path / "out.mp4")) == list(range(num_frames))


@pytest.mark.parametrize(("width", "height"), [(127, 95), (65, 255), (33, 33), (1281, 97)])
def test_sizes_are_even_and_the_picture_is_not_cut(tmp_path: Path, width: int, height: int) -> None:
    write_video(
        tmp_path / "in.mp4",
        num_frames=3,
        width=width,
        height=height,
        pixel_format="yuv444p",
        options={"crf": "10"},
    )
    row = made_of(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert row["status"] == "encoded"
    assert (row["width"] % 2, row["height"] % 2) == (0, 0)
    assert numbers_shown(pictures(tmp_path / "out.mp4")) == [0, 1, 2]


@given(st.integers(2, 4000), st.integers(2, 4000), st.integers(1, 200).map(lambda n: 2 * n))
def test_nothing_is_enlarged_and_the_aspect_stays(width: int, height: int, short_side: int) -> None:
    new_width, new_height = target_size(width, height, short_side=short_side)
    assert new_width <= width
    assert new_height <= height
    assert new_width % 2 == new_height % 2 == 0
    assert min(new_width, new_height) == min(short_side, min(width, height) // 2 * 2)
    scale = min(1.0, short_side / min(width, height))
    assert abs(new_width - width * scale) <= 1.0 + 1e-9
    assert abs(new_height - height * scale) <= 1.0 + 1e-9


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    stamps = [0, 40, 200, 210, 500, 1000, 1001, 3000]
    write_video(tmp_path / "in.mp4", num_frames=8, times_ms=stamps)
    made_of(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert times(tmp_path / "out.mp4") == [Fraction(ms, 1000) for ms in stamps]


def test_the_odd_frame_rate_of_television_is_kept_exactly(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30000, 1001))
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(40):
            grey = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), "rgb24")
            container.mux(stream.encode(grey))
        container.mux(stream.encode(None))
    made_of(tmp_path / "in.mp4", tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)


def test_a_clip_cut_by_stream_copy_becomes_the_frames_that_it_shows(source: Path, tmp_path: Path) -> None:
    cut = cut_by_stream_copy(source, tmp_path / "cut.mp4", first_frame=37)
    row = made_of(cut, tmp_path / "out.mp4")
    assert numbers_shown(pictures(tmp_path / "out.mp4")) == list(range(37, 70))
    assert row["num_frames"] == 33
    assert times(tmp_path / "out.mp4")[0] == 0


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "options"),
    [
        ("in.avi", "mpeg4", "yuv420p", {"q": "3"}),
        ("in.mkv", "libx265", "yuv420p", {"preset": "ultrafast", "x265-params": "log-level=none"}),
        ("in.mp4", "libx264", "yuv420p10le", {"preset": "ultrafast"}),
        ("in.webm", "libvpx-vp9", "yuv420p", {"deadline": "realtime"}),
        ("in.mpg", "mpeg2video", "yuv420p", {"q": "3"}),
    ],
)
def test_other_codecs_and_containers_become_the_one(
    tmp_path: Path, name: str, codec: str, pixel_format: str, options: dict[str, str]
) -> None:
    write_video(tmp_path / name, num_frames=30, codec=codec, pixel_format=pixel_format, options=options)
    row = made_of(tmp_path / name, tmp_path / "out.mp4")
    assert row["status"] == "encoded", row["reason"]
    assert numbers_shown(pictures(tmp_path / "out.mp4")) == list(range(30))
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuvj444p"])
def test_grey_levels_stay_whatever_the_range(tmp_path: Path, pixel_format: str) -> None:
    path = write_video(tmp_path / "in.mp4", num_frames=4, pixel_format=pixel_format, options={"crf": "5"})
    made_of(path, tmp_path / "out.mp4", SETTINGS._replace(short_side=96, crf=5))
    for before, after in zip(pictures(path), pictures(tmp_path / "out.mp4"), strict=True):
        assert abs(before.astype(int) - after).mean() < 2


def test_what_is_right_already_is_not_written_again(source: Path, tmp_path: Path) -> None:
    made_of(source, tmp_path / "once.mp4")
    row = made_of(tmp_path / "once.mp4", tmp_path / "twice.mp4")
    assert (row["status"], row["num_frames"], row["width"], row["height"]) == ("kept", 70, 86, 64)
    assert (tmp_path / "twice.mp4").read_bytes() == (tmp_path / "once.mp4").read_bytes()
    row = made_of(tmp_path / "once.mp4", tmp_path / "third.mp4", SETTINGS._replace(gop=8))
    assert row["status"] == "encoded"


def test_a_damaged_video_is_a_row_and_leaves_no_output(source: Path, tmp_path: Path) -> None:
    broken = bytearray(source.read_bytes())
    middle = len(broken) // 2
    broken[middle : middle + 300] = b"\xff" * 300
    (tmp_path / "in.mp4").write_bytes(broken)
    row = made_of(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert row["status"] == "failed"
    assert "frame" in str(row["reason"])
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_an_encoder_that_loses_a_frame_is_found_out(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lossy(index, target, settings):
        written = real(index, target, settings)
        copy_packets(target, tmp_path / "less.mp4", lambda n, packet: None if n == 69 else packet)
        os.replace(tmp_path / "less.mp4", target)  # noqa: PTH105
        return written

    real = encoding.encode
    monkeypatch.setattr(encoding, "encode", lossy)
    row = made_of(source, tmp_path / "out.mp4")
    assert row["status"] == "failed"
    assert "70 frames were written, 69 are there" in str(row["reason"])


def test_frames_that_came_at_other_times_are_found_out(source: Path, tmp_path: Path) -> None:
    index = index_stream(source)
    written = encoding.encode(index, tmp_path / "out.mp4", SETTINGS)
    encoding.check_encoded(tmp_path / "out.mp4", written, SETTINGS)
    slower = written._replace(seconds=written.seconds * 2)
    with pytest.raises(DecodeError, match=r"lasts 2\.760 s, expected 5\.520 s"):
        encoding.check_encoded(tmp_path / "out.mp4", slower, SETTINGS)
    index.close()


def test_two_originals_that_differ_in_their_ending_get_two_names() -> None:
    assert transcode.target_paths(["a/x.avi", "a/x.mp4", "a/y.webm"]) == {
        "a/x.avi": "a/x.avi.mp4",
        "a/x.mp4": "a/x.mp4",
        "a/y.webm": "a/y.mp4",
    }
    with pytest.raises(ValueError, match=r"2 videos would become x\.avi\.mp4"):
        transcode.target_paths(["x.avi", "x.mp4", "x.avi.mp4"])


def test_the_command_writes_videos_lists_and_report_and_does_nothing_twice(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "in"
    (root / "a b").mkdir(parents=True)
    (root / "a b/ü (1).mkv").write_bytes(source.read_bytes())
    (root / "bad.mp4").write_text("no video")
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "train.csv").write_text("path,label\na b/ü (1).mkv,1\nbad.mp4,0\nnone.mp4,0\n")
    (lists / "classes.txt").write_text("x\ny\n")
    arguments = [
        *("--root", str(root), "--output", str(tmp_path / "out"), "--lists", str(lists / "train.csv")),
        *("--short-side", "64", "--preset", "ultrafast", "--workers", "1"),
    ]
    for shard in ("0", "1"):
        assert transcode.main([*arguments, "--shard", shard, "--num-shards", "2"]) == 0
    monkeypatch.setattr(transcoding, "transcode_one", None)  # whoever is asked to encode fails
    assert transcode.main(arguments) == 0
    rows = {row["path"]: row for row in read_table(tmp_path / "out/transcode_report.csv")}
    assert rows["a b/ü (1).mkv"]["status"] == "encoded"
    assert rows["a b/ü (1).mkv"]["output"] == "a b/ü (1).mp4"
    assert "FFmpeg can open" in rows["bad.mp4"]["reason"]
    assert "No such file" in rows["none.mp4"]["reason"]
    assert (tmp_path / "out/lists/train.csv").read_text() == (
        "path,label\na b/ü (1).mp4,1\nbad.mp4,0\nnone.mp4,0\n"
    )
    assert (tmp_path / "out/lists/classes.txt").read_text() == "x\ny\n"
    assert numbers_shown(pictures(tmp_path / "out/a b/ü (1).mp4")) == list(range(70))


def test_what_was_made_with_other_settings_is_made_again(source: Path, tmp_path: Path) -> None:
    """Also if the settings go back to what they were, when the journal has a row of them."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.mp4").write_bytes(source.read_bytes())
    arguments = ["--root", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--workers", "1"]
    arguments += ["--short-side", "64", "--preset", "ultrafast"]
    sizes = []
    for kind in (["--for", "general"], [], ["--stride", "4"], ["--for", "general"], []):
        assert transcode.main([*arguments, *kind]) == 0
        index = index_stream(tmp_path / "out/a.mp4")
        sizes.append(((tmp_path / "out/a.mp4").stat().st_size, index.key_positions))
        index.close()
    assert sizes[:2] == sizes[3:]
    assert [keys[1] for _, keys in sizes[:3]] == [16, 32, 32]
    assert len({size for size, _ in sizes}) == 3
    before = (tmp_path / "out/a.mp4").stat().st_mtime_ns
    assert transcode.main(arguments) == 0
    assert (tmp_path / "out/a.mp4").stat().st_mtime_ns == before


def test_a_dry_run_says_how_much_there_is_to_do_and_writes_nothing(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--root", str(source.parent), "--output", str(tmp_path / "out"), "--short-side", "64"]
    assert transcode.main([*arguments, "--dry-run"]) == 0
    assert "would look at 1 videos; 0 have an output; nothing was written" in words(capsys)
    assert not (tmp_path / "out").exists()
    assert transcode.main([*arguments, "--workers", "1"]) == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    words(capsys)
    assert transcode.main([*arguments, "--dry-run"]) == 0
    assert "would look at 1 videos; 1 have an output; nothing was written" in words(capsys)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def words(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said since the last call, however its lines were broken."""
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--stride", "0", r"--stride 0 is out of range; expected 1\.\.17"),
        ("--stride", "18", r"--stride 18 is out of range; expected 1\.\.17"),
        ("--gop", "30", "--gop 30 is no multiple of 8, .*; expected 32, or --for general"),
        ("--for=general", "--stride=8", "--stride 8 goes with --for training"),
        ("--short-side", "255", "expected an even number"),
        ("--gop", "0", "--gop 0 is out of range"),
        ("--crf", "52", "expected 0..51"),
        ("--time-limit-seconds", "0", "expected more than 0"),
        ("--workers", "0", "expected at least 1"),
        ("--shard", "1", "expected 0..0"),
    ],
)
def test_a_setting_out_of_range_is_refused(tmp_path: Path, option: str, value: str, problem: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.mp4").touch()
    with pytest.raises(ValueError, match=problem):
        transcode.main(["--root", str(tmp_path / "in"), "--output", str(tmp_path / "out"), option, value])


def test_a_preset_that_x264_does_not_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        transcode.main(["--root", str(tmp_path), "--output", str(tmp_path / "out"), "--preset", "warp"])
    assert "'warp' (choose from" in capsys.readouterr().err


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_one_of_x264s(source: Path, tmp_path: Path, preset: str) -> None:
    row = made_of(source, tmp_path / "out.mp4", SETTINGS._replace(short_side=16, preset=preset))
    assert row["status"] == "encoded"


def test_an_output_that_would_become_input_is_refused(source: Path) -> None:
    root = source.parent
    for output, problem in ((root, "is --root"), (root / "small", "lies under --root")):
        with pytest.raises(ValueError, match=problem):
            transcode.main(["--root", str(root), "--output", str(output)])
    assert [path.name for path in root.iterdir()] == [source.name]


@pytest.mark.parametrize("is_absolute", [True, False])
def test_no_path_of_a_list_leads_out_of_the_output(source: Path, tmp_path: Path, is_absolute: bool) -> None:
    """An original named by its whole path would be its own output."""
    (tmp_path / "in").mkdir()
    original = tmp_path / "in/a.mp4"
    original.write_bytes(source.read_bytes())
    path = str(original) if is_absolute else "../in/a.mp4"
    (tmp_path / "train.csv").write_text(f"path,label\n{path},0\n")
    arguments = ["--root", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    with pytest.raises(ValueError, match="expected a path relative to --root"):
        transcode.main([*arguments, "--lists", str(tmp_path / "train.csv")])
    assert original.read_bytes() == source.read_bytes()


def test_a_root_that_holds_nothing_of_the_lists_is_an_error(source: Path, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(f"path,label\nvideos/{source.name},0\n")
    for root, problem in ((source.parent, "none of the 1 videos listed"), (tmp_path / "no", "not a folder")):
        arguments = ["--root", str(root), "--output", str(tmp_path / "out")]
        with pytest.raises(ValueError, match=problem):
            transcode.main([*arguments, "--lists", str(tmp_path / "train.csv")])
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_video_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match="holds nothing that is named like a video"):
        transcode.main(["--root", str(tmp_path / "in"), "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
