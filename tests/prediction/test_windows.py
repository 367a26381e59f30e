"""A clip slid over a video: every frame is seen, and every window holds the frames it says."""

from itertools import accumulate, pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import UInt8
from torch import Tensor

from gcvideo.clip import Segment, VideoRecord
from gcvideo.data.sampling import ClipFrames
from gcvideo.prediction.windows import WINDOWS_PER_READ, SlidingWindows, window_starts
from tests.data.encoding import h264, numbers_shown, write_video

CLIP = ClipFrames(4, 3)


def uncropped(frames: UInt8[Tensor, "N 3 H W"]) -> UInt8[Tensor, "N 3 H W"]:
    return frames


@st.composite
def frame_times(draw: st.DrawFn) -> Tensor:
    """Boundaries of up to 300 frames, each shown for 2 ms to 2 s."""
    shown_for = draw(st.lists(st.integers(2, 2000), min_size=1, max_size=300))
    return torch.tensor([0, *accumulate(shown_for)], dtype=torch.float64) / 1000


clips = st.builds(ClipFrames, st.integers(1, 16), st.integers(1, 8))


@given(boundaries=frame_times(), clip=clips, hop_ms=st.integers(1, 5000))
def test_windows_start_with_the_first_frame_of_every_hop_and_the_last_ends_with_the_video(
    boundaries: Tensor, clip: ClipFrames, hop_ms: int
) -> None:
    starts = window_starts(boundaries, clip, hop_seconds=hop_ms / 1000).tolist()
    last = max(len(boundaries) - 1 - clip.span, 0)
    expected, hop = [], 0
    for frame in range(last + 1):
        shown_at_ms = round(float(boundaries[frame]) * 1000)
        if shown_at_ms >= hop * hop_ms:
            expected.append(frame)
            hop = shown_at_ms // hop_ms + 1
    assert starts == sorted({*expected, last})


@given(video_frames=st.integers(1, 500), clip=clips)
def test_windows_stand_half_a_clip_apart_by_default(video_frames: int, clip: ClipFrames) -> None:
    starts = window_starts(torch.arange(video_frames + 1).double(), clip, hop_seconds=None).tolist()
    assert starts[0] == 0
    steps = [later - earlier for earlier, later in pairwise(starts)]
    assert all(step == max(round(clip.span / 2), 1) for step in steps[:-1])
    assert all(0 < step <= max(round(clip.span / 2), 1) for step in steps[-1:])
    assert starts[-1] + clip.span == max(video_frames, clip.span)


def test_every_window_holds_the_frames_of_its_seconds(tmp_path: Path) -> None:
    times_ms = [40 * i for i in range(50)] + [2000 + 100 * i for i in range(47)]
    write_video(tmp_path / "a.mp4", num_frames=97, times_ms=times_ms, options=h264(keyint=12))
    video = SlidingWindows(
        VideoRecord.unlabelled(tmp_path / "a.mp4"), clip=CLIP, crops=uncropped, hop_seconds=0.2
    )
    assert video.duration_seconds == pytest.approx(6.64)  # the file says 40 ms of its last frame
    groups = list(video)
    assert len(groups) > 1
    assert all(len(group.views) <= WINDOWS_PER_READ for group in groups)
    firsts = []
    for group in groups:
        for (start, end), views in zip(group.spans, group.views, strict=True):
            first, *_, last = shown = numbers_shown(views[0].numpy())
            assert shown == [first, first + 3, first + 6, first + 9]
            assert start == pytest.approx(times_ms[first] / 1000)
            assert end == pytest.approx([*times_ms, 6640][last + 1] / 1000)
            firsts.append(first)
    assert firsts == [*range(0, 50, 5), *range(50, 88, 2), 87]


def test_a_video_shorter_than_a_window_is_one_window_that_holds_its_last_frame(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", num_frames=5, options=h264(keyint=12))
    [group] = SlidingWindows(VideoRecord.unlabelled(tmp_path / "a.mp4"), clip=CLIP, crops=uncropped)
    assert numbers_shown(group.views[0, 0].numpy()) == [0, 3, 4, 4]
    assert group.spans == [pytest.approx((0, 0.2))]


def test_crops_of_a_window_stay_together(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", num_frames=40, options=h264(keyint=12))

    def bright_and_dark(frames: UInt8[Tensor, "N 3 H W"]) -> list[Tensor]:
        return [frames, frames // 2]

    for group in SlidingWindows(VideoRecord.unlabelled(tmp_path / "a.mp4"), clip=CLIP, crops=bright_and_dark):
        assert torch.equal(group.views[:, 1], group.views[:, 0] // 2)


@pytest.mark.parametrize("hop_seconds", [0.0, -1.0, float("nan")])
def test_a_hop_of_nothing_is_refused(hop_seconds: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"hop_seconds is {hop_seconds}; expected more than 0"):
        SlidingWindows(
            VideoRecord.unlabelled(tmp_path / "a.mp4"), clip=CLIP, crops=uncropped, hop_seconds=hop_seconds
        )


def test_windows_of_a_segment_lie_inside_it_and_have_the_times_of_the_video(tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=60, options=h264(keyint=12))
    segment = VideoRecord.unlabelled(tmp_path / "a.mp4", Segment(0.8, 2.0, in_frames=False))  # frames 20..49
    video = SlidingWindows(segment, clip=CLIP, crops=uncropped, hop_seconds=0.2)
    assert (video.start_seconds, video.duration_seconds) == (pytest.approx(0.8), pytest.approx(1.2))
    for group in video:
        for span, views in zip(group.spans, group.views, strict=True):
            shown = numbers_shown(views[0].numpy())
            assert all(20 <= frame < 50 for frame in shown)
            assert [span.start_seconds, span.end_seconds] == pytest.approx(
                [shown[0] / 25, (shown[-1] + 1) / 25]
            )
