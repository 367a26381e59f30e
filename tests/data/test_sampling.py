from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from gcvideo.data.sampling import (
    ClipFrames,
    ClipShape,
    RandomClip,
    RandomStride,
    UniformClips,
    VideoLength,
)
from gcvideo.data.training_clips import OtherClips, SameClip

LENGTHS = st.integers(1, 2000)
CLIPS = st.builds(
    ClipFrames,
    num_frames=st.integers(1, 64),
    stride=st.integers(1, 16),
    spacing=st.sampled_from(["stride", "linspace"]),
)
SAMPLERS = st.one_of(
    st.builds(RandomClip, CLIPS),
    st.builds(
        UniformClips,
        CLIPS,
        num_clips=st.integers(1, 20),
        start_rule=st.sampled_from(["to_end", "before_end"]),
    ),
)


@given(SAMPLERS, LENGTHS)
def test_indices_are_in_the_video_and_in_order_for_every_length(sampler, video_frames):
    indices = sampler(video_frames)
    assert indices.dtype == torch.int64
    assert indices.shape == (getattr(sampler, "num_clips", 1), sampler.clip.num_frames)
    assert indices.min() >= 0
    assert indices.max() < video_frames
    assert (indices.diff(dim=1) >= 0).all()
    assert (indices.diff(dim=0) >= 0).all()


@given(CLIPS, st.integers(2, 20), LENGTHS)
def test_clips_that_fit_hold_no_frame_and_reach_the_last_one_under_to_end(clip, num_clips, video_frames):
    assume(video_frames >= clip.span)
    indices = UniformClips(clip, num_clips=num_clips, start_rule="to_end")(video_frames)
    assert torch.equal(indices - indices[:, :1], clip.offsets.expand_as(indices))
    assert indices[0, 0] == 0
    assert indices[-1, 0] + clip.span == video_frames


@given(
    clip=CLIPS.filter(lambda clip: clip.spacing == "stride"),
    num_clips=st.integers(1, 20),
    video_frames=LENGTHS,
)
def test_stride_and_to_end_are_the_frames_of_mmaction2_where_the_clip_fits(clip, num_clips, video_frames):
    # SampleFrames of MMAction2 1.x in test mode, for 3-D recognisers; it repeats short videos from the start.
    clip_length = (clip.num_frames - 1) * clip.stride + 1
    assume(video_frames >= clip_length)
    max_offset = video_frames - clip_length
    if num_clips > 1:
        offsets = np.round(np.arange(num_clips) * (max_offset / float(num_clips - 1)))
    else:
        offsets = np.array([max_offset // 2])
    expected = offsets[:, None] + np.arange(clip.num_frames)[None, :] * clip.stride
    found = UniformClips(clip, num_clips=num_clips, start_rule="to_end")(video_frames)
    assert found.tolist() == expected.astype(int).tolist()


def pyslowfast_frames(num_frames: int, stride: int, num_clips: int, video_frames: int) -> list[list[int]]:
    """Start and end of each test clip in real numbers, then equally spaced points, clamped and cut off."""
    clips = []
    for k in range(num_clips):
        clip_size = num_frames * stride
        start = max(video_frames - clip_size, 0) * k / num_clips
        points = torch.linspace(start, start + clip_size - 1, num_frames)
        clips.append(torch.clamp(points, 0, video_frames - 1).long().tolist())
    return clips


@given(num_clips=st.integers(2, 20), video_frames=LENGTHS)
def test_linspace_and_before_end_are_the_8x8_frames_of_pyslowfast(num_clips, video_frames):
    clip = ClipFrames(8, 8, spacing="linspace")
    found = UniformClips(clip, num_clips=num_clips, start_rule="before_end")(video_frames)
    assert found.tolist() == pyslowfast_frames(8, 8, num_clips, video_frames)


@given(
    num_frames=st.integers(2, 64),
    stride=st.integers(1, 16),
    num_clips=st.integers(2, 20),
    video_frames=LENGTHS,
)
def test_linspace_and_before_end_are_within_a_frame_of_pyslowfast_for_every_clip(
    num_frames, stride, num_clips, video_frames
):
    clip = ClipFrames(num_frames, stride, spacing="linspace")
    found = UniformClips(clip, num_clips=num_clips, start_rule="before_end")(video_frames)
    expected = torch.tensor(pyslowfast_frames(num_frames, stride, num_clips, video_frames))
    assert (found - expected).abs().max() <= 1


def test_the_published_8x8_clips_step_by_8_or_by_9():
    assert ClipFrames(8, 8).offsets.tolist() == [0, 8, 16, 24, 32, 40, 48, 56]
    assert ClipFrames(8, 8, spacing="linspace").offsets.tolist() == [0, 9, 18, 27, 36, 45, 54, 63]


def test_a_short_video_holds_its_last_frame():
    for sampler in (RandomClip(ClipFrames(5, 2)), UniformClips(ClipFrames(5, 2), num_clips=3)):
        for clip in sampler(6).tolist():
            assert clip == [0, 2, 4, 5, 5]


@pytest.mark.parametrize("start_rule", ["to_end", "before_end"])
def test_a_single_clip_stands_in_the_middle(start_rule):
    (clip,) = UniformClips(ClipFrames(3, 2), num_clips=1, start_rule=start_rule)(25).tolist()
    assert clip == [10, 12, 14]


def test_a_random_clip_starts_at_every_frame_at_which_it_fits():
    torch.manual_seed(0)
    sampler = RandomClip(ClipFrames(3, 2))
    starts = {int(sampler(9)[0, 0]) for _ in range(200)}
    assert starts == {0, 1, 2, 3, 4}


def test_aligned_clips_start_at_multiples_each_as_often():
    torch.manual_seed(0)
    sampler = RandomClip(ClipFrames(3, 8, align=8))
    starts = Counter(int(sampler(17 + 35)[0, 0]) for _ in range(2000))
    assert sorted(starts) == [0, 8, 16, 24, 32]
    assert all(abs(count - 400) < 100 for count in starts.values())


@given(st.integers(1, 20), st.integers(1, 20), LENGTHS, st.integers(0, 50))
def test_aligned_starts_are_counted_in_the_frames_of_the_file_and_fit(align, stride, num_frames, first):
    clip = ClipFrames(4, stride, align=align)
    start = int(RandomClip(clip)(VideoLength(num_frames, 25.0, first=first))[0, 0])
    last = clip.last_start(num_frames)
    assert 0 <= start <= last
    aligned = [s for s in range(int(last) + 1) if (first + s) % align == 0]
    assert start in aligned or not aligned


def test_any_start_is_drawn_as_before_and_evaluation_is_not_aligned():
    for frames in (1, 30, 300):
        torch.manual_seed(frames)
        expected = torch.randint(max(frames - 57, 0) + 1, (1,))
        torch.manual_seed(frames)
        assert RandomClip(ClipFrames(8, 8))(frames)[0, 0] == expected
        views = [UniformClips(clip, num_clips=10)(frames) for clip in (ClipFrames(), ClipFrames(align=8))]
        assert torch.equal(*views)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"align": 0}, "clip.align is 0; expected a number of frames"),
        ({"align": 8, "target_fps": 30.0}, "clip.align is 8, and with target_fps 30 .*; leave one out"),
        ({"align": 8, "spacing": "linspace"}, "clip.align is 8, and with spacing linspace .*; leave one out"),
    ],
)
def test_an_alignment_that_means_nothing_is_refused(settings, problem):
    with pytest.raises(ValueError, match=problem):
        ClipFrames(**settings)


def test_multigrid_and_repeats_are_aligned_too():
    torch.manual_seed(0)
    clip = ClipFrames(8, 8, align=8)
    shape = ClipShape(num_frames=4, min_stride=8, max_stride=16, crop_size=112)
    for sampler in (
        RandomStride(clip, shape=shape, sampler=RandomClip),
        OtherClips(RandomClip(clip), num_repeats=3),
        SameClip(RandomClip(clip), num_repeats=3),
    ):
        starts = {int(start) for _ in range(30) for start in sampler(300)[:, 0]}
        assert len(starts) > 8
        assert not any(start % 8 for start in starts)


def test_a_random_clip_follows_torchs_generator():
    sampler = RandomClip(ClipFrames(4, 2))
    drawn = []
    for _ in range(2):
        torch.manual_seed(7)
        drawn.append([sampler(300).tolist() for _ in range(5)])
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(("num_frames", "stride"), [(0, 1), (8, 0), (8, -2)])
def test_a_clip_without_extent_is_refused(num_frames, stride):
    with pytest.raises(ValueError, match=f"{num_frames} frames at stride {stride}; both must be at least 1"):
        ClipFrames(num_frames, stride)


def test_no_clips_are_refused():
    with pytest.raises(ValueError, match="num_clips is 0; at least 1"):
        UniformClips(ClipFrames(), num_clips=0)
