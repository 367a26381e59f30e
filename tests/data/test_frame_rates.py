"""Clips that cover the same time of videos of any frame rate, and what follows the end of short ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gcvideo.clip import VideoRecord
from gcvideo.data.dataset import VideoDataset
from gcvideo.data.decoding import OpenAny
from gcvideo.data.frame_rates import said_of_rates, typical_frame_rate
from gcvideo.data.lists.annotations import read_annotations
from gcvideo.data.sampling import ClipFrames, RandomClip, SlidingClips, UniformClips, VideoLength
from gcvideo.prediction.windows import SlidingWindows
from tests.data.encoding import numbers_shown, write_video

RATES = (15.0, 24.0, 25.0, 30000 / 1001, 30.0, 50.0, 60.0)
SHAPES = st.sampled_from([(8, 8), (4, 16), (16, 4), (32, 2), (8, 4), (16, 5)])


@given(SHAPES, st.sampled_from(RATES), st.integers(2, 10), st.integers(20, 900))
def test_before_end_gives_the_frames_of_pyslowfast(shape, fps, num_clips, video_frames):
    # slowfast/datasets/decoder.py: get_start_end_idx and temporal_sampling, TARGET_FPS 30
    num_frames, stride = shape
    clip_size = num_frames * stride * fps / 30
    expected = []
    for number in range(num_clips):
        start = max(video_frames - clip_size, 0) * number / num_clips
        index = torch.linspace(start, start + clip_size - 1, num_frames)
        expected.append(torch.clamp(index, 0, video_frames - 1).long())
    clip = ClipFrames(num_frames, stride, "linspace", target_fps=30.0)
    found = UniformClips(clip, num_clips=num_clips, start_rule="before_end")(VideoLength(video_frames, fps))
    assert torch.equal(found, torch.stack(expected))


@given(SHAPES, st.sampled_from(RATES), st.integers(2, 10), st.integers(20, 900))
def test_to_end_and_loop_give_the_frames_of_mmaction2(shape, fps, num_clips, video_frames):
    # SampleFrames of MMAction2 1.x in test mode, target_fps 30, out_of_bound_opt loop
    num_frames, stride = shape
    length = np.maximum(1, num_frames * stride * (fps / 30))
    interval = np.floor(max(video_frames - length, 0) / float(num_clips - 1))
    offsets = np.linspace(0, length - 1, num_frames).astype(np.int32)
    expected = np.mod((np.arange(num_clips) * interval)[:, None] + offsets, video_frames).astype(np.int64)
    clip = ClipFrames(num_frames, stride, "linspace", target_fps=30.0, past_end="loop")
    found = UniformClips(clip, num_clips=num_clips)(VideoLength(video_frames, fps))
    assert found.tolist() == expected.tolist()


@given(st.sampled_from(RATES), st.integers(1, 900), st.sampled_from(["stride", "linspace"]))
def test_random_clips_lie_within_the_video_and_cover_the_same_time(fps, video_frames, spacing):
    clip = ClipFrames(8, 8, spacing, target_fps=30.0)
    (frames,) = RandomClip(clip)(VideoLength(video_frames, fps))
    assert frames.min() >= 0
    assert frames.max() < video_frames
    assert (frames.diff() >= 0).all()
    seconds = (7 * 8 if spacing == "stride" else 63) / 30
    if video_frames > 64 * fps / 30 + 2:
        assert float(frames[-1] - frames[0]) / fps == pytest.approx(seconds, abs=2 / fps)


def test_a_video_of_the_target_rate_gives_the_clips_that_it_gives_without():
    for spacing in ("stride", "linspace"):
        with_rate, without = (ClipFrames(8, 8, spacing, target_fps=rate) for rate in (30.0, None))
        for length in (20, 64, 100, 301):
            found = UniformClips(with_rate, num_clips=1)(VideoLength(length, 30.0))
            assert torch.equal(found, UniformClips(without, num_clips=1)(length))


def test_short_videos_hold_their_last_frame_or_begin_again():
    for past_end, frames in {"hold": [0, 2, 4, 5, 5], "loop": [0, 2, 4, 0, 2]}.items():
        assert UniformClips(ClipFrames(5, 2, past_end=past_end), num_clips=1)(6).tolist() == [frames]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(ValueError, match="expected frames per second, above 0"):
        ClipFrames(target_fps=rate)


def test_data_sets_and_timelines_read_by_the_files_own_rate(tmp_path: Path) -> None:
    clip = ClipFrames(4, 6, target_fps=30.0)
    for fps, step in ((15, 3), (60, 12)):
        path = write_video(tmp_path / f"{fps}.mp4", num_frames=60, fps=fps)
        records = [VideoRecord(path, 0, path.name)]
        dataset = VideoDataset(records, clips=UniformClips(clip, num_clips=1), crops=lambda frames: frames)
        shown = numbers_shown(dataset[0, 0].frames[0].numpy())
        assert np.diff(shown).tolist() == [step] * 3
        windows = SlidingWindows(VideoRecord.unlabelled(path), clip=clip, crops=lambda frames: frames)
        views = torch.cat([group.views for group in windows])
        assert all(np.diff(numbers_shown(view[0].numpy())).tolist() == [step] * 3 for view in views)
        assert numbers_shown(views[-1, 0].numpy())[-1] == 59


@given(st.sampled_from(RATES), st.integers(1, 900), SHAPES)
def test_rolling_windows_have_every_frame_in_one_at_any_rate(fps, video_frames, shape):
    clip = ClipFrames(*shape, target_fps=30.0)
    found = SlidingClips(clip, 1000)(VideoLength(video_frames, fps))
    firsts, lasts = found[:, 0].tolist(), found[:, -1].tolist()
    assert firsts[0] == 0
    assert lasts[-1] >= video_frames - 2
    for last, first in zip(lasts, firsts[1:], strict=False):
        assert first - last <= 2
    assert len(found) <= video_frames * 30 / fps / (clip.span - 1) * fps / max(fps - 2, 1) + 3


def test_the_rate_of_a_list_is_the_median_of_all_or_of_heads_that_can_be_read(tmp_path):
    rows = [f"{number}.mp4,0,100,{fps},64,48,1" for number, fps in enumerate([25, 25, 50, 60, 60.5])]
    (tmp_path / "verified.csv").write_text("\n".join(["path,label,num_frames,fps,width,height,plain", *rows]))
    verified = read_annotations(tmp_path / "verified.csv", root=tmp_path, num_classes=1)
    assert typical_frame_rate(verified, "pyav") == 50  # of which none is there

    records = []
    for number, fps in enumerate([25, 50, 25]):
        path = write_video(tmp_path / f"{number}.mp4", num_frames=5, fps=fps)
        records.append(VideoRecord(path, 0, path.name))
    (tmp_path / "broken.mp4").write_bytes(b"none")
    records += [VideoRecord(tmp_path / name, 0, name) for name in ("broken.mp4", "absent.mp4")]
    for opens in ("pyav", OpenAny()):
        assert typical_frame_rate(records, opens) == 25
        assert typical_frame_rate(records[3:], opens) is None


def test_rates_that_differ_markedly_are_said():
    assert said_of_rates(30.0, 24.0, of="they") is None
    assert said_of_rates(None, 24.0, of="they") is None
    assert said_of_rates(30.0, None, of="they") is None
    assert said_of_rates(30.0, 60.0, of="they") == (
        "the network was trained at 30 frames a second, and they have 60: a clip, which is counted in "
        "frames, shows 0.5 times as long; data.clip.target_fps 30 counts it in time"
    )
    assert "shows 2 times as long" in (said_of_rates(30.0, 15.0, of="they") or "")
