"""What a spreadsheet would run is quoted in CSV files, and read back as it was."""

import csv
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data_prep.lists.video_lists import ListedVideo, read_lists, write_list
from gcvideo.atomic import read_table, write_table
from gcvideo.cells import quoted, unquoted
from gcvideo.clip import Unreadable, VideoRecord
from gcvideo.data.lists.annotations import read_annotations, read_videos
from gcvideo.data.loading.unreadable import SkipUnreadable
from gcvideo.evaluation import PredictionTable

NAMES = ["=cmd|' C'!A1.mp4", "+1 (2).mp4", "-x.mp4", "@SUM(1).mp4", "'=quoted.mp4", "''@twice.mp4", "'t.mp4"]


@given(st.text("'=+-@\t\ra1.", max_size=8))
def test_text_is_read_back_and_begins_no_formula(text: str) -> None:
    cell = quoted(text)
    assert unquoted(cell) == text
    assert cell[:1] not in ("=", "@") or len(cell) == 1


@pytest.mark.parametrize("number", [-0.5, -3, "-0.5", "+7", "-1e-05", "-inf"])
def test_numbers_stay_numbers(number: float | str) -> None:
    assert quoted(number) == number


def raw_cells(file: Path) -> list[str]:
    with file.open(newline="") as stream:
        return [cell for row in csv.reader(stream) for cell in row]


def test_a_list_of_data_prep_is_of_the_same_videos_to_every_reader(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).write_bytes(b"video")
    file = tmp_path / "train.csv"
    write_list(file, [ListedVideo(name, str(number % 2)) for number, name in enumerate(NAMES)])
    assert not [cell for cell in raw_cells(file) if cell[:1] in "=+-@"]
    assert [row["path"] for row in read_table(file)] == NAMES
    (videos,) = (one.videos for one in read_lists([file], root=tmp_path, num_workers=1))
    assert [video.path for video in videos] == NAMES
    records = read_annotations(file, root=tmp_path, num_classes=2)
    assert [record.path for record in records] == [tmp_path / name for name in NAMES]
    assert [record.path for record in read_videos(file, root=tmp_path)] == [tmp_path / name for name in NAMES]


def test_labels_that_are_names_are_read_back(tmp_path: Path) -> None:
    names = ["=one", "-two", "'@three"]
    write_table(tmp_path / "val.csv", ("path", "label"), [(f"{name}.mp4", name) for name in names])
    records = read_annotations(tmp_path / "val.csv", root=tmp_path, num_classes=3, class_names=names)
    assert [record.label for record in records] == [0, 1, 2]


def test_a_list_of_ones_own_is_taken_at_its_word(tmp_path: Path) -> None:
    """A file whose name begins with a quote is that file, where it is there."""
    (tmp_path / "'=a.mp4").write_bytes(b"video")
    (tmp_path / "list.csv").write_text("path,label\n'=a.mp4,0\n")
    (record,) = read_annotations(tmp_path / "list.csv", root=tmp_path, num_classes=1)
    assert record.path == tmp_path / "'=a.mp4"


def test_skipped_videos_are_listed_once_whatever_they_are_called(tmp_path: Path) -> None:
    videos = [Unreadable(VideoRecord(tmp_path / name, 0, name), "=reason") for name in NAMES]
    for _ in range(2):
        SkipUnreadable(tmp_path / "unreadable.csv", num_videos=9, max_share=1.0).handle(videos, epoch=0)
    rows = read_table(tmp_path / "unreadable.csv")
    assert [row["path"] for row in rows] == NAMES
    assert not [cell for cell in raw_cells(tmp_path / "unreadable.csv") if cell[:1] in "=+-@"]


def test_predictions_are_of_the_same_videos_and_classes(tmp_path: Path) -> None:
    classes = ["=one", "-2", "@three"]
    table = PredictionTable(classes)
    table.add(NAMES[:3], torch.eye(3), labels=[0, 1, 2])
    table.write(tmp_path / "predictions.csv")
    cells = raw_cells(tmp_path / "predictions.csv")
    assert not [cell for cell in cells if cell[:1] in "=+-@" and cell != "-2"]
    rows = {row["video"]: row for row in read_table(tmp_path / "predictions.csv")}
    assert [rows[name]["prediction"] for name in NAMES[:3]] == classes
