"""A segment is read as a video of its own: none of its samples ever shows a frame outside."""

from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gcvideo.clip import Segment, VideoRecord
from gcvideo.data.dataset import TimedVideoDataset, VideoDataset
from gcvideo.data.decoding import (
    AscendingReader,
    DecodeError,
    FrameFolderReader,
    FrameNames,
    open_record,
)
from gcvideo.data.decoding.segments import frames_of
from gcvideo.data.sampling import (
    ClipFrames,
    ClipSampler,
    ClipShape,
    RandomClip,
    RandomStride,
    SlidingClips,
    UniformClips,
    VideoLength,
)
from gcvideo.data.training_clips import OtherClips, SameClip
from tests.data.annotated import verified
from tests.data.encoding import h264, numbers_shown, write_video

NUM_FRAMES, FPS = 40, 25.0


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    write_video(path, num_frames=NUM_FRAMES, options=h264(keyint=12))
    return path


def whole(frames):
    return frames


def record_of(video: Path, segment: Segment | None, **listed) -> VideoRecord:
    return VideoRecord(video, 0, f"a.mp4#{segment}", segment=segment, **listed)


def frames_shown(
    video: Path, segment: Segment, clips: ClipSampler, backend="pyav", **listed
) -> list[list[int]]:
    dataset = VideoDataset([record_of(video, segment, **listed)], clips=clips, crops=whole, backend=backend)
    return [numbers_shown(view.numpy()) for view in dataset[0, 0].frames]


SAMPLERS = {
    "random": RandomClip,
    "uniform": lambda clip: UniformClips(clip, num_clips=4),
    "before the end": lambda clip: UniformClips(clip, num_clips=3, start_rule="before_end"),
    "sliding": lambda clip: SlidingClips(clip, 20, hop_frames=3),
    "random stride": lambda clip: RandomStride(
        clip, shape=ClipShape(clip.num_frames, 1, clip.stride, 32), sampler=RandomClip
    ),
    "same": lambda clip: SameClip(RandomClip(clip), num_repeats=2),
    "others": lambda clip: OtherClips(RandomClip(clip), num_repeats=2),
}
CLIPS = st.builds(
    ClipFrames,
    num_frames=st.integers(1, 6),
    stride=st.integers(1, 9),
    spacing=st.sampled_from(["stride", "linspace"]),
    target_fps=st.sampled_from([None, 10.0, 30.0]),
    past_end=st.sampled_from(["hold", "loop"]),
)


@given(
    bounds=st.tuples(st.integers(0, NUM_FRAMES - 1), st.integers(1, NUM_FRAMES)).filter(
        lambda b: b[0] < b[1]
    ),
    clip=CLIPS,
    sampler=st.sampled_from(sorted(SAMPLERS)),
    in_frames=st.booleans(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_sampler_shows_a_frame_outside_and_all_see_a_video_of_that_length(
    video, bounds, clip, sampler, in_frames
):
    segment = Segment(*(bounds if in_frames else (bound / FPS for bound in bounds)), in_frames)
    make = SAMPLERS[sampler]
    shown = frames_shown(video, segment, make(clip))
    assert all(frame in range(*bounds) for view in shown for frame in view)
    if "random" not in sampler and sampler not in ("same", "others"):
        of_a_short_video = make(clip)(VideoLength(bounds[1] - bounds[0], FPS))
        assert shown == (of_a_short_video + bounds[0]).tolist()


def test_aligned_clips_of_a_segment_start_where_those_of_its_file_do(video):
    clips = RandomClip(ClipFrames(2, 4, align=8))
    dataset = VideoDataset([record_of(video, Segment(5, 40, True))], clips=clips, crops=whole)
    starts = {numbers_shown(dataset[epoch, 0].frames[0].numpy())[0] for epoch in range(20)}
    assert starts == {8, 16, 24, 32}


@pytest.mark.parametrize("backend", ["pyav", "decord"])
def test_every_decoder_gives_the_same_frames_and_a_verified_list_counts_those_of_the_video(video, backend):
    listed = verified(video)
    shown = frames_shown(
        video,
        Segment(0.4, 1.0, False),
        UniformClips(ClipFrames(3, 2), num_clips=2),
        backend,
        verified=listed,
        num_frames=NUM_FRAMES,
    )
    assert shown == [[10, 12, 14], [20, 22, 24]]
    with pytest.raises(DecodeError, match="has 40 frames, and had 39 when it was verified"):
        open_record(record_of(video, Segment(0, 5, True), verified=listed._replace(num_frames=39)), backend)


@pytest.mark.parametrize("backend", ["pyav", "decord"])
def test_a_frame_belongs_to_the_segment_in_which_it_begins(video, backend):
    """Frame i is shown from i/25 to (i+1)/25 s; times may be rounded to milliseconds."""
    for start, end, expected in (
        (0.0, 1.6, range(40)),
        (0.0, 2.0, range(40)),  # as a whole number of seconds
        (0.4, 0.48, range(10, 12)),
        (0.41, 0.48, range(11, 12)),
        (0.4, 0.481, range(10, 13)),
        (1.56, 1.6, range(39, 40)),
    ):
        with open_record(
            record_of(video, Segment(start, end, False), verified=verified(video)), backend
        ) as reader:
            assert len(reader) == len(expected)
            assert numbers_shown(reader.frames_at(list(range(len(reader)))).numpy()) == list(expected)
            boundaries = reader.boundaries()
            assert torch.allclose(boundaries, torch.arange(len(expected) + 1, dtype=torch.float64) / FPS)
            for outside in (-1, len(reader)):
                with pytest.raises(IndexError, match=f"frame {outside} was asked for, but the segment has"):
                    reader.frames_at([outside])


def test_neighbouring_segments_share_no_frame_and_leave_none_out(video):
    bounds = [0.0, 0.333, 0.5, 0.53, 0.96, 1.6]
    lengths = []
    for start, end in pairwise(bounds):
        with open_record(record_of(video, Segment(start, end, False))) as reader:
            lengths.append(len(reader))
    assert sum(lengths) == NUM_FRAMES


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        (
            Segment(1.0, 2.2, False),
            "its segment t=1,2.2 ends behind the video, which ends at 1.600 s; correct the list",
        ),
        (
            Segment(1.58, 1.7, False),
            "its segment t=1.58,1.7 holds none of its 40 frames, the last of which ends at 1.600 s",
        ),
        (Segment(0.41, 0.42, False), "its segment t=0.41,0.42 holds none of its 40 frames"),
        (
            Segment(30, 41, True),
            "its segment frames=30,41 ends behind the video, which has 40 frames, 0..39; correct",
        ),
    ],
)
def test_what_is_no_segment_of_the_video_is_an_unreadable_video(video, segment, message):
    with pytest.raises(DecodeError) as caught:
        open_record(record_of(video, segment))
    assert str(caught.value).startswith(f"{video}: {message}")


def test_times_of_clips_are_those_in_the_video(video):
    dataset = TimedVideoDataset(
        [record_of(video, Segment(0.8, 1.4, False))],
        clips=UniformClips(ClipFrames(2, 3), num_clips=2),
        crops=whole,
    )
    spans = dataset[0, 0].spans
    assert [time for span in spans for time in span] == pytest.approx([0.8, 0.96, 1.24, 1.4])


class Numbered(AscendingReader):
    """Pictures as bright as their numbers, so many a second."""

    def __init__(self, path: Path, num_frames: int = 20, rate: Fraction = Fraction(10)) -> None:
        super().__init__(path, num_frames=num_frames, fps=float(rate), size=(8, 8), name="numbered")
        self.rate = rate

    def boundaries(self):
        times = [float(number / self.rate) for number in range(len(self) + 1)]
        return torch.tensor(times, dtype=torch.float64)

    def decode(self, ascending, part_size):
        yield torch.stack([torch.full((8, 8, 3), number, dtype=torch.uint8) for number in ascending])

    def close(self) -> None:
        pass


@given(
    fps=st.sampled_from(
        [Fraction(n) for n in (15, 24, 25, 30, 50, 60)] + [Fraction(30000, 1001), Fraction(24000, 1001)]
    ),
    num_frames=st.integers(1, 3000),
    bounds=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    digits=st.sampled_from([3, 6, 17]),
)
def test_times_of_frames_mean_these_frames_also_when_they_are_rounded_to_milliseconds(
    fps, num_frames, bounds, digits
):
    first, last = sorted(int(bound * (num_frames - 1)) for bound in bounds)
    segment = Segment(round(float(first / fps), digits), round(float((last + 1) / fps), digits), False)
    path = Path("a.mp4")
    assert frames_of(segment, Numbered(path, num_frames, fps), path=path) == range(first, last + 1)


def test_segments_of_folders_of_pictures_are_read_likewise(tmp_path):
    for number in range(12):
        picture = np.full((40, 48, 3), 10 * number, dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / f"img_{number:05}.png")
    backend = partial(FrameFolderReader, names=FrameNames(fps=4.0))
    for segment in (Segment(1.0, 2.0, False), Segment(4, 8, True)):
        record = VideoRecord(tmp_path, 0, f"a#{segment}", num_frames=12, segment=segment)
        dataset = VideoDataset(
            [record], clips=UniformClips(ClipFrames(4, 1), num_clips=1), crops=whole, backend=backend
        )
        assert dataset[0, 0].frames[0, :, 0, 0, 0].tolist() == [40, 50, 60, 70]


def test_a_reader_of_ones_own_reads_segments_too(video):
    segment = Segment(0.5, 1.5, False)
    dataset = VideoDataset(
        [record_of(video, segment)],
        clips=UniformClips(ClipFrames(3, 4), num_clips=1),
        crops=whole,
        backend=Numbered,
    )
    assert dataset[0, 0].frames[0, :, 0, 0, 0].tolist() == [5, 9, 13]
