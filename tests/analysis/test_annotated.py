"""Annotated copies keep every frame of the video and write on its top only."""

from pathlib import Path

import numpy as np
import pytest

from gcvideo.analysis import annotated
from gcvideo.analysis.annotated import caption, write_annotated
from gcvideo.data.decoding import open_video
from gcvideo.evaluation.timeline import Ranked
from tests.data.encoding import h264, write_video


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
