"""A clip slid over a video: every frame is seen, and every window holds the frames it says."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import UInt8
from torch import Tensor

from gcvideo.data.sampling import ClipFrames
from gcvideo.data.windows import WINDOWS_PER_READ, SlidingWindows, window_starts
from tests.data.encoding import h264, numbers_shown, write_video

CLIP = ClipFrames(4, 3)


def uncropped(frames: UInt8[Tensor, "N 3 H W"]) -> UInt8[Tensor, "N 3 H W"]:
    return frames


@given(
    video_frames=st.integers(1, 500),
    num_frames=st.integers(1, 16),
    stride=st.integers(1, 8),
    hop=st.integers(1, 64),
)
def test_windows_stand_a_hop_apart_and_the_last_ends_with_the_video(
    video_frames: int, num_frames: int, stride: int, hop: int
) -> None:
    clip = ClipFrames(num_frames, stride)
    starts = window_starts(video_frames, clip, hop=hop).tolist()
    assert starts[0] == 0
    steps = [later - earlier for earlier, later in pairwise(starts)]
    assert all(step == hop for step in steps[:-1])
    assert all(0 < step <= hop for step in steps[-1:])
    assert starts[-1] + clip.span == max(video_frames, clip.span)


def test_every_window_holds_the_frames_of_its_seconds(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", num_frames=97, options=h264(keyint=12))
    video = SlidingWindows(tmp_path / "a.mp4", clip=CLIP, crops=uncropped, hop_seconds=0.2)
    fps = 97 / video.duration_seconds
    groups = list(video)
    assert len(groups) > 1
    assert all(len(group.views) <= WINDOWS_PER_READ for group in groups)
    firsts = []
    for group in groups:
        for start, end, views in zip(group.start_seconds, group.end_seconds, group.views, strict=True):
            first = round(start * fps)
            assert numbers_shown(views[0].numpy()) == [first, first + 3, first + 6, first + 9]
            assert end * fps == pytest.approx(first + CLIP.span)
            firsts.append(first)
    assert firsts == [*range(0, 87, 5), 87]


def test_a_video_shorter_than_a_window_is_one_window_that_holds_its_last_frame(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", num_frames=5, options=h264(keyint=12))
    [group] = SlidingWindows(tmp_path / "a.mp4", clip=CLIP, crops=uncropped)
    assert numbers_shown(group.views[0, 0].numpy()) == [0, 3, 4, 4]


def test_crops_of_a_window_stay_together(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", num_frames=40, options=h264(keyint=12))

    def bright_and_dark(frames: UInt8[Tensor, "N 3 H W"]) -> list[Tensor]:
        return [frames, frames // 2]

    for group in SlidingWindows(tmp_path / "a.mp4", clip=CLIP, crops=bright_and_dark):
        assert torch.equal(group.views[:, 1], group.views[:, 0] // 2)


def test_a_hop_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"hop_seconds is 0\.0; expected more than 0"):
        SlidingWindows(tmp_path / "a.mp4", clip=CLIP, crops=uncropped, hop_seconds=0.0)
