"""Videos that cannot be read end a run, or are left out and listed; never replaced."""

import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gcvideo.clip import Unreadable, VideoRecord
from gcvideo.data.decoding import DecodeError
from gcvideo.data.loading.unreadable import RaiseUnreadable, ReportUnreadable, SkipUnreadable


def missing(*names: str, reason: str = "is empty, fetch it again") -> list[Unreadable]:
    return [Unreadable(VideoRecord(Path("/videos") / name, 0, name), reason) for name in names]


def listed(file: Path) -> list[tuple[str, ...]]:
    with file.open(newline="") as rows:
        return [tuple(row) for row in csv.reader(rows)]


def skip(folder: Path, *, num_videos: int = 100, max_share: float = 0.05) -> SkipUnreadable:
    return SkipUnreadable(folder / "unreadable.csv", num_videos=num_videos, max_share=max_share)


def test_the_first_unreadable_video_ends_the_run():
    with pytest.raises(DecodeError, match=r"^/videos/a\.mp4: is empty, fetch it again$"):
        RaiseUnreadable().handle(missing("a.mp4", "b.mp4"), epoch=0)


def test_a_video_left_out_is_listed_once_with_its_reason_and_the_epoch(tmp_path, caplog):
    policy = skip(tmp_path / "run")
    policy.handle(missing("a b.mp4"), epoch=0)
    policy.handle(missing("c,d.mp4", "a b.mp4", reason='says "no"'), epoch=3)
    policy.handle(missing("c,d.mp4"), epoch=4)
    expected = [
        ("path", "reason", "epoch"),
        ("a b.mp4", "is empty, fetch it again", "0"),
        ("c,d.mp4", 'says "no"', "3"),
    ]
    assert listed(tmp_path / "run" / "unreadable.csv") == expected
    resumed = skip(tmp_path / "run")
    resumed.handle(missing("a b.mp4"), epoch=5)
    assert listed(tmp_path / "run" / "unreadable.csv") == expected
    assert [record.message for record in caplog.records] == [
        "/videos/a b.mp4: is empty, fetch it again; left out of training",
        '/videos/c,d.mp4: says "no"; left out of training',
    ]


def test_processes_keep_one_list(tmp_path):
    names = [f"{number}.mp4" for number in range(40)]

    def one_process(first: int) -> None:
        policy = skip(tmp_path, max_share=1.0)
        for name in names[first:] + names[:first]:
            policy.handle(missing(name), epoch=0)

    with ThreadPoolExecutor(8) as processes:
        list(processes.map(one_process, range(0, 40, 5)))
    rows = listed(tmp_path / "unreadable.csv")
    assert rows[0] == ("path", "reason", "epoch")
    assert sorted(row[0] for row in rows[1:]) == sorted(names)


def test_the_run_stops_above_the_stated_share(tmp_path):
    policy = skip(tmp_path, num_videos=40)
    policy.handle(missing("a.mp4", "b.mp4"), epoch=0)
    message = r"3 of 40 training videos cannot be read, more than data\.max_unreadable_share 0\.05 .*\.csv"
    with pytest.raises(ValueError, match=message):
        policy.handle(missing("c.mp4"), epoch=0)
    with pytest.raises(ValueError, match="3 of 40"):  # those of before a resume count
        skip(tmp_path, num_videos=40).handle(missing("a.mp4"), epoch=1)
    assert len(listed(tmp_path / "unreadable.csv")) == 4


def test_a_share_out_of_range_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"max_unreadable_share is 5\.0; expected 0\.\.1"):
        skip(tmp_path, max_share=5.0)


def test_an_unreadable_video_of_an_evaluation_is_named_once(caplog):
    policy = ReportUnreadable()
    for epoch in range(3):
        policy.handle(missing("a.mp4"), epoch=epoch)
    assert [record.message for record in caplog.records] == [
        "/videos/a.mp4: is empty, fetch it again; counted as unreadable"
    ]
