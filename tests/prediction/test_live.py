"""Even times, running means, and frames that are held: the parts of watching a source."""

import math
import os
import threading
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from gcvideo.data.decoding import DecodeError
from gcvideo.data.sampling import ClipFrames
from gcvideo.prediction import live_source
from gcvideo.prediction.live import LiveFrame, NewestFrames, newest_for
from gcvideo.prediction.live_predictor import EvenTimes, RunningMean, newest_clip, say_span
from gcvideo.prediction.live_source import without_password
from tests.data.encoding import h264, write_video


def frame(number: int, *, width: int = 32) -> LiveFrame:
    picture = av.VideoFrame.from_ndarray(np.zeros((32, width, 3), np.uint8), format="rgb24")
    return LiveFrame(number, number / 25, 0.0, picture)


def test_only_the_frames_of_one_clip_are_held_and_none_across_a_gap_or_another_size() -> None:
    newest = NewestFrames(3)
    for number in range(100):
        newest.add(frame(number))
    held = newest.clip(newer_than=98)
    assert [one.number for one in held.frames] == [97, 98, 99]
    newest.interrupt()
    newest.add(frame(100))
    newest.add(frame(101))
    newest.add(frame(102, width=64))  # a camera that was turned
    newest.end(None)
    held = newest.clip(newer_than=99)
    assert [one.number for one in held.frames] == [102]
    assert held.num_gaps == 2


def test_a_clip_is_waited_for_until_it_is_full_and_newer() -> None:
    newest = NewestFrames(3)
    for number in range(3):
        newest.add(frame(number))
    threading.Timer(0.1, lambda: newest.add(frame(3))).start()
    assert newest.clip(newer_than=2).frames[-1].number == 3


@pytest.mark.parametrize("rate", [10, 15, 24, 25, 30, 50, 60])
def test_a_clip_with_a_target_rate_covers_its_time_at_any_rate_of_the_source(rate: int) -> None:
    """Four frames that are 4/25 s apart, the last one the newest, to the frame before each moment."""
    clip = ClipFrames(4, 4, target_fps=25.0)
    newest = newest_for(clip)
    for number in range(200):
        newest.add(frame(number)._replace(seconds=number / rate))
    held = newest.clip(newer_than=198)
    assert held.is_whole
    shown = [one.number for one in newest_clip(held.frames, clip)]
    end = 199 / rate
    assert shown[-1] == 199
    for number, moment in zip(shown, [end - 0.48, end - 0.32, end - 0.16, end], strict=True):
        assert moment - 1 / rate - 1e-6 <= number / rate <= moment + 1e-6
    assert newest_for(ClipFrames(4, 4)).num_frames == 13


def test_no_clock_makes_a_clip_hold_any_number_of_frames() -> None:
    newest = newest_for(ClipFrames(4, 4, target_fps=25.0))
    for number in range(300):
        newest.add(frame(number)._replace(seconds=number / 1000))
    held = newest.clip(newer_than=0)
    assert len(held.frames) == 8 * 13
    assert held.is_whole


def test_a_rate_is_compared_with_that_of_the_training_where_it_is_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    frames = [frame(number)._replace(seconds=number / 50) for number in range(13)]
    say_span(frames, trained_at=50.0)
    say_span(frames, target_fps=25.0, trained_at=25.0)
    assert not caplog.records
    say_span(frames, trained_at=25.0)
    assert "was trained at 25 frames a second, and streams such as this have 50" in caplog.text


def test_moments_that_pass_while_one_is_busy_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    times = EvenTimes(2.0)
    assert times.seconds_left() == 0
    assert times.pass_over(100.0, 101.5) == 0
    now = 101.5
    assert times.seconds_left() == 0.5  # at 102
    assert times.pass_over(102.1, 107.5) == 2  # 104 and 106
    now = 107.5
    assert times.seconds_left() == 0.5  # at 108


def test_the_running_mean_is_that_of_weights_that_fall_by_e_in_its_time_and_begins_anew_at_a_gap() -> None:
    mean, at = RunningMean(2.0), [0.0, 0.5, 2.0, 2.25]
    clips = [torch.tensor([p, 1 - p], dtype=torch.float32) for p in (0.9, 0.1, 0.5, 0.7)]
    for seconds, clip in zip(at, clips, strict=True):
        smoothed = mean.with_clip(clip, seconds=seconds, num_gaps=0)
    # The weight of a clip is what has come since the one before, as old as it is
    weights = [math.exp(-(at[-1] - at[0]) / 2)]
    for before, seconds in pairwise(at):
        weights.append((1 - math.exp(-(seconds - before) / 2)) * math.exp(-(at[-1] - seconds) / 2))
    assert sum(weights) == pytest.approx(1)
    expected = sum(weight * float(clip[0]) for weight, clip in zip(weights, clips, strict=True))
    assert float(smoothed[0]) == pytest.approx(expected, abs=1e-6)
    assert float(mean.with_clip(clips[0], seconds=3.0, num_gaps=1)[0]) == pytest.approx(0.9)


@pytest.mark.parametrize(("rate", "warned"), [(25, ""), (30, ""), (60, "0.5 times"), (10, "3 times")])
def test_a_rate_far_from_that_of_most_videos_is_warned_of(
    rate: int, warned: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="gcvideo"):
        say_span([frame(number)._replace(seconds=number / rate) for number in range(13)])
    said, *warnings = caplog.records
    assert f"{13 / rate:.2f} s at {rate} frames a second" in said.message
    assert [warned in warning.message for warning in warnings] == ([True] if warned else [])


@pytest.mark.parametrize("are_allowed", [False, True])
def test_a_playlist_on_standard_input_opens_no_file(
    are_allowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = write_video(tmp_path / "a.ts", num_frames=20, options=h264(keyint=12, bframes=0))
    read, write = os.pipe()
    os.write(write, f"ffconcat version 1.0\nfile '{film}'\n".encode())
    os.close(write)
    monkeypatch.setattr(live_source, "STANDARD_INPUT", read)
    source = live_source.StandardInput({})
    if are_allowed:  # as a check of the check
        source.options |= {"protocol_whitelist": "file", "format_whitelist": "concat,mpegts", "safe": "0"}
        with source.open() as container:
            assert len(list(container.decode(video=0))) == 20
    else:
        with pytest.raises(DecodeError, match="standard input: cannot be opened"):
            source.open()
    os.close(read)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://me:secret@10.0.0.1/a", "rtsp://me:***@10.0.0.1/a"),
        ("rtsp://me:se@cret@10.0.0.1:554/a@b:c", "rtsp://me:***@10.0.0.1:554/a@b:c"),
        ("rtsp://10.0.0.1:554/a@b", "rtsp://10.0.0.1:554/a@b"),
        ("rtsp://me@10.0.0.1/", "rtsp://me@10.0.0.1/"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
