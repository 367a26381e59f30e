"""From window to window: who speaks for which moment."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gcvideo.prediction.timeline import MultiLabelTimeline, Ranked, Timeline, WindowPrediction, likeliest


def window(start: float, end: float, name: str, probability: float = 0.5) -> WindowPrediction:
    return WindowPrediction(start, end, [Ranked(name, probability)])


def test_neighbouring_windows_of_one_class_become_one_segment() -> None:
    windows = [window(0.0, 2.0, "run", 0.4), window(1.0, 3.0, "run", 0.8), window(2.0, 4.0, "jump", 0.6)]
    run, jump = Timeline(windows, duration_seconds=4.0).segments()
    assert (run.name, run.start_seconds, run.end_seconds) == ("run", 0, 2.5)
    assert run.probability == pytest.approx(0.6)
    assert (jump.name, jump.start_seconds, jump.end_seconds) == ("jump", 2.5, 4)


def test_a_class_that_comes_back_is_a_segment_of_its_own() -> None:
    windows = [
        window(float(second), second + 1.0, name) for second, name in enumerate(["run", "jump", "run"])
    ]
    assert [segment.name for segment in Timeline(windows, duration_seconds=3.0).segments()] == [
        "run",
        "jump",
        "run",
    ]


@given(
    names=st.lists(st.sampled_from("abc"), min_size=1, max_size=12),
    hop=st.floats(0.1, 3),
    length=st.floats(0.5, 4),
)
def test_segments_cover_the_video_without_gap_or_overlap(names: list[str], hop: float, length: float) -> None:
    windows = [window(i * hop, i * hop + length, name) for i, name in enumerate(names)]
    duration = windows[-1].end_seconds
    timeline = Timeline(windows, duration_seconds=duration)
    segments = timeline.segments()
    assert segments[0].start_seconds == 0
    assert segments[-1].end_seconds == duration
    for earlier, later in pairwise(segments):
        assert earlier.end_seconds == later.start_seconds
        assert earlier.name != later.name
    for segment in segments:
        middle = (segment.start_seconds + segment.end_seconds) / 2
        assert timeline.window_at(middle).top[0].name == segment.name


def test_a_moment_belongs_to_the_window_whose_middle_is_nearest() -> None:
    windows = [window(0.0, 2.0, "run"), window(4.0, 6.0, "jump")]
    timeline = Timeline(windows, duration_seconds=6.0)
    assert timeline.window_at(2.9).top[0].name == "run"
    assert timeline.window_at(3.1).top[0].name == "jump"
    assert timeline.window_at(60.0).top[0].name == "jump"


def test_the_likeliest_classes_fall_in_probability() -> None:
    top = likeliest(torch.tensor([0.1, 0.6, 0.3]), ["a", "b", "c"], num_classes=2)
    assert [one.name for one in top] == ["b", "c"]
    assert [one.probability for one in top] == pytest.approx([0.6, 0.3])


def test_each_of_several_classes_is_seen_from_when_to_when() -> None:
    told = [
        [Ranked("run", 0.9), Ranked("red", 0.6)],
        [Ranked("red", 0.8)],
        [],
        [Ranked("red", 0.7), Ranked("run", 0.6)],
    ]
    windows = [
        WindowPrediction(float(start), start + 2.0, [Ranked("run", 0.9)], of_window)
        for start, of_window in enumerate(told)
    ]
    timeline = MultiLabelTimeline(windows, duration_seconds=5.0)
    found = [(one.name, one.start_seconds, one.end_seconds) for one in timeline.segments()]
    assert found == [("run", 0.0, 1.5), ("red", 0.0, 2.5), ("run", 3.5, 5.0), ("red", 3.5, 5.0)]
    assert timeline.segments()[1].probability == pytest.approx(0.7)
    assert [one.name for one in timeline.shown_at(2.0)] == ["red"]
    assert timeline.shown_at(3.0) == []
    assert [row["prediction"] for row in timeline.rows("a.mp4")] == ["run;red", "red", "", "red;run"]
