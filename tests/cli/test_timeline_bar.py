"""The bar of a long video: its clips, their speed, and the time that is left after the first of them."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from gcvideo.cli.timeline_bar import TimelineBar
from gcvideo.clip import VideoRecord
from gcvideo.terminal import progress_bar


def test_clips_a_second_and_the_time_left_are_there_after_the_first_clips(monkeypatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.perf_counter", lambda: now)
    progress = progress_bar()
    progress.get_time = lambda: now
    bar = TimelineBar(progress)
    bar(VideoRecord.unlabelled(Path("hour.mp4")), 0, 80)
    for done in (8, 16):
        now += 2.0
        bar(VideoRecord.unlabelled(Path("hour.mp4")), done, 80)
    (task,) = progress.tasks
    assert (task.description, task.completed, task.total) == ("hour.mp4, 4 clips/s", 16, 80)
    assert task.time_remaining == 16
    console = Console(width=100, record=True, file=StringIO())
    console.print(progress.get_renderable())
    assert "0:00:16" in console.export_text()


def test_the_bar_goes_with_its_video_whole_or_not() -> None:
    progress = progress_bar()
    bar = TimelineBar(progress)
    bar(VideoRecord.unlabelled(Path("broken.mp4")), 0, 80)
    bar(VideoRecord.unlabelled(Path("next.mp4")), 0, 3)
    assert [task.description for task in progress.tasks] == ["next.mp4"]
    bar(VideoRecord.unlabelled(Path("next.mp4")), 3, 3)
    assert progress.tasks == []
