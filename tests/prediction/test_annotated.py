"""Annotated copies keep every frame of the video and write on its top only."""

from pathlib import Path

import av
import numpy as np
import pytest

from gcvideo.data.decoding import DecodeError, open_video
from gcvideo.data.decoding.pyav import PyAVReader
from gcvideo.prediction import annotated
from gcvideo.prediction.annotated import caption, write_annotated
from gcvideo.prediction.timeline import Ranked
from tests.data.encoding import h264, numbers_shown, write_video
from tests.data.test_decoding_real import ASSORTED
from tests.journey.colours import tone_begins, write_film


@pytest.mark.parametrize("chunk_frames", [7, 1000])
def test_every_frame_is_there_at_its_size_with_its_picture_below_the_caption(
    chunk_frames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    height, width = 96, 128
    monkeypatch.setattr(annotated, "MEMORY_PER_READ", chunk_frames * height * width * 3)
    write_video(tmp_path / "a.mp4", num_frames=30, height=height, width=width, options=h264(keyint=12))
    asked: list[float] = []

    def top_at(seconds: float) -> list[Ranked]:
        asked.append(seconds)
        return [Ranked("run", 0.9)]

    reported: list[tuple[int, int]] = []
    write_annotated(
        tmp_path / "a.mp4", tmp_path / "b.mp4", top_at, report=lambda done, of: reported.append((done, of))
    )
    with open_video(tmp_path / "a.mp4") as before, open_video(tmp_path / "b.mp4") as after:
        assert len(after) == len(before) == 30
        assert after.fps == pytest.approx(before.fps, rel=1e-3)
        source, copy = (reader.frames_at(range(30)).int() for reader in (before, after))
        fps = before.fps
    assert asked == pytest.approx([number / fps for number in range(30)])
    assert reported[-1] == (30, 30)
    assert (source[:, 40:] - copy[:, 40:]).abs().float().mean() < 3
    assert (source[:, :10] - copy[:, :10]).abs().float().mean() > 20
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "b.mp4"}


def test_a_bar_is_as_long_as_its_class_is_probable() -> None:
    white = np.full((360, 400, 3), 255, dtype=np.uint8)
    pictures = [caption(white, [Ranked("", probability)])[3] for probability in (0.25, 0.75)]
    blue = [(row[:, 2].astype(int) - row[:, 0] > 40).sum() for row in pictures]
    assert blue[0] == pytest.approx(100, abs=30)
    assert blue[1] == pytest.approx(300, abs=30)


def test_pictures_of_odd_size_are_written_with_one_line_more(tmp_path: Path) -> None:
    write_video(
        tmp_path / "a.mkv",
        num_frames=3,
        height=45,
        width=61,
        codec="ffv1",
        pixel_format="yuv444p",
        options={},
    )
    write_annotated(tmp_path / "a.mkv", tmp_path / "b.mp4", lambda _: [], report=lambda *_: None)
    with open_video(tmp_path / "b.mp4") as reader:
        assert reader.frames_at([0]).shape[1:3] == (46, 62)


SCENES = [("one", 20, 25), ("two", 6, 2), ("three", 30, 50)]
FINEST_TICK = 1 / 90_000


def annotate(source: Path, copy: Path) -> None:
    write_annotated(source, copy, lambda _: [], report=lambda *_: None)


def boundaries(path: Path) -> list[float]:
    with open_video(path) as reader:
        return reader.boundaries().tolist()


def sound_packets(path: Path) -> list[tuple[float, bytes]]:
    """When each packet is heard, from the first frame on, and its bytes."""
    with open_video(path) as reader, av.open(str(path)) as container:
        assert isinstance(reader, PyAVReader)
        begins = float(reader.boundaries_by_clock()[0])
        packets = [packet for packet in container.demux(audio=0) if packet.size]
        return [(float((packet.pts or 0) * packet.time_base) - begins, bytes(packet)) for packet in packets]


@pytest.mark.parametrize("times_ms", [[0, 40, 1000, 1010, 3000], [5000, 5033, 5067, 5100, 5142]])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_frames_of_the_copy_are_shown_when_those_of_the_video_are(
    name: str, times_ms: list[int], tmp_path: Path
) -> None:
    write_video(tmp_path / name, num_frames=5, times_ms=times_ms, options=h264(keyint=12))
    asked: list[float] = []
    write_annotated(
        tmp_path / name, tmp_path / "b.mp4", lambda time: asked.append(time) or [], report=lambda *_: None
    )
    shown_at = [(time - times_ms[0]) / 1000 for time in times_ms]
    assert asked == pytest.approx(shown_at, abs=FINEST_TICK)
    assert boundaries(tmp_path / "b.mp4")[:-1] == pytest.approx(shown_at, abs=FINEST_TICK)
    assert boundaries(tmp_path / "b.mp4") == pytest.approx(boundaries(tmp_path / name), abs=FINEST_TICK)


@pytest.mark.parametrize(
    ("name", "sound"),
    [("a.mp4", "aac"), ("a.mkv", "libopus"), ("a.mkv", "flac"), ("a.ts", "mp2"), ("a.ts", "aac")],
)
def test_sound_that_mp4_holds_is_copied_in_step_with_the_pictures(
    name: str, sound: str, tmp_path: Path
) -> None:
    source, copy = tmp_path / name, tmp_path / "b.mp4"
    write_film(source, SCENES, sound=sound, tone_from=1.3)
    annotate(source, copy)
    before, after = sound_packets(source), sound_packets(copy)
    assert len(before) == len(after) > 20
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=0.001)
    strip = 7 if (name, sound) == ("a.ts", "aac") else 0  # mp4 states once what each packet's header does
    assert [data for _, data in after] == [data[strip:] for _, data in before]
    assert tone_begins(copy) == pytest.approx(tone_begins(source), abs=0.001)
    assert boundaries(copy) == pytest.approx(boundaries(source), abs=FINEST_TICK)


@pytest.mark.parametrize(
    ("name", "sound"), [("a.avi", "pcm_s16le"), ("a.mov", "pcm_mulaw"), ("a.mkv", "pcm_f32le")]
)
def test_other_sound_is_encoded_anew_in_step_with_the_pictures(
    name: str, sound: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="gcvideo")
    source, copy = tmp_path / name, tmp_path / "b.mp4"
    write_film(source, [("one", 50, 30)], sound=sound, tone_from=1.3)
    annotate(source, copy)
    assert caplog.messages == [f"{source}: its sound is {sound}, and becomes AAC in the mp4"]
    with av.open(str(copy)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    assert tone_begins(copy) == pytest.approx(tone_begins(source), abs=0.002)


def test_every_sound_track_is_kept(tmp_path: Path) -> None:
    write_film(tmp_path / "aac.mp4", SCENES, sound="aac", tone_from=1.3)
    write_film(tmp_path / "opus.mkv", SCENES, sound="libopus", tone_from=1.3)
    with (
        av.open(str(tmp_path / "aac.mp4")) as first,
        av.open(str(tmp_path / "opus.mkv")) as second,
        av.open(str(tmp_path / "a.mkv"), "w") as both,
    ):
        sources = [first.streams.video[0], first.streams.audio[0], second.streams.audio[0]]
        for source, track in [(source, both.add_stream_from_template(source)) for source in sources]:
            for packet in source.container.demux(source):
                if packet.size:
                    packet.stream = track
                    both.mux(packet)
            source.container.seek(0)
    annotate(tmp_path / "a.mkv", tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as copy:
        assert [track.codec_context.codec.canonical_name for track in copy.streams.audio] == ["aac", "opus"]
        for track in copy.streams.audio:
            copy.seek(0)
            assert sum(frame.samples for frame in copy.decode(track)) > 2 * 48_000


def test_sound_whose_clock_starts_anew_is_left_out_with_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = [tmp_path / "1.ts", tmp_path / "2.ts"]
    for part in parts:
        write_film(part, [("one", 30, 25)], sound="aac")
    (tmp_path / "a.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    annotate(tmp_path / "a.ts", tmp_path / "b.mp4")
    assert "packets of its sound are damaged or out of order, and left out" in caplog.text
    assert boundaries(tmp_path / "b.mp4") == pytest.approx(
        [frame / 25 for frame in range(61)], abs=FINEST_TICK
    )


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_turned_video_is_upright_in_the_copy(quarter_turns: int, tmp_path: Path) -> None:
    write_video(
        tmp_path / "a.mp4", num_frames=3, height=144, width=96, quarter_turns=quarter_turns, options=h264()
    )
    annotate(tmp_path / "a.mp4", tmp_path / "b.mp4")
    with open_video(tmp_path / "b.mp4") as reader:
        frames = reader.frames_at(range(3)).numpy()
        assert frames.shape[1:3] == (144, 96)
        assert numbers_shown(frames) == [0, 1, 2]
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0


@pytest.mark.slow
@pytest.mark.skipif(not ASSORTED, reason="the real clips (GCVIDEO_REALVIDEOS) are not here")
@pytest.mark.parametrize("path", ASSORTED, ids=lambda path: path.name)
def test_copies_of_real_clips_have_their_times_and_sound(path: Path, tmp_path: Path) -> None:
    if path.name == "corrupted.mp4":
        with pytest.raises(DecodeError, match="does not decode"):
            annotate(path, tmp_path / "b.mp4")
        assert not list(tmp_path.iterdir())
        return
    annotate(path, tmp_path / "b.mp4")
    assert boundaries(tmp_path / "b.mp4") == pytest.approx(boundaries(path), abs=FINEST_TICK)
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.mp4")) as copy:
        assert len(copy.streams.audio) == len(source.streams.audio)
        assert (copy.duration or 0) / 1e6 == pytest.approx((source.duration or 0) / 1e6, abs=0.1)
