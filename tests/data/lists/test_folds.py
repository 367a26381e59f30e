"""Folds hold out every video once, spread classes evenly, and never part a group."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcvideo.data import Folds
from gcvideo.data.lists.annotations import read_annotations
from gcvideo.data.lists.records import VideoRecords

UCF = r"(v_.*_g\d+)_"


def records_of(folder: Path, rows: list[tuple[str, int]], num_classes: int = 3) -> VideoRecords:
    file = folder / "list.csv"
    file.write_text("".join(f"{path},{label}\n" for path, label in [("path", "label"), *rows]))
    return read_annotations(file, root=folder, num_classes=num_classes)


def held_out(records: VideoRecords, **settings) -> list[set[str]]:
    """The videos of each fold, of which the training videos are all others."""
    folds = []
    for fold in range(settings.get("num_folds", 5)):
        split = Folds(fold, **settings).split(records)
        videos = {name: [record.video_id for record in of_split] for name, of_split in split.items()}
        assert videos["val"] == videos["test"]
        assert sorted(videos["train"] + videos["val"]) == sorted(record.video_id for record in records)
        folds.append(set(videos["val"]))
    return folds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lists")


@settings(max_examples=20)
@given(st.lists(st.integers(0, 2), min_size=5, max_size=60), st.integers(2, 5), st.integers(0, 9))
def test_without_groups_the_folds_share_out_every_class_to_within_a_video(folder, labels, num_folds, seed):
    rows = [(f"{number}.mp4", label) for number, label in enumerate(labels)]
    folds = held_out(records_of(folder, rows), num_folds=num_folds, seed=seed)
    label_of = dict(rows)
    assert Counter(video for fold in folds for video in fold) == Counter(label_of.keys())
    for label in set(labels):
        counts = [sum(label_of[video] == label for video in fold) for fold in folds]
        assert max(counts) - min(counts) <= 1


@settings(max_examples=20)
@given(st.lists(st.integers(1, 7), min_size=5, max_size=20), st.integers(2, 5))
def test_a_group_lies_in_one_fold_whatever_its_size(folder, sizes, num_folds):
    rows = [(f"v_{g % 3}_g{g:02}_c{c}.avi", g % 3) for g, size in enumerate(sizes) for c in range(size)]
    folds = held_out(records_of(folder, rows), num_folds=num_folds, group=UCF)
    groups = [{re.search(UCF, video)[1] for video in fold} for fold in folds]  # pyright: ignore[reportOptionalSubscript]
    assert sum(map(len, groups)) == len(sizes)


def test_as_many_equal_groups_of_a_class_as_folds_are_one_in_each(folder):
    rows = [(f"v_{k}_g{g:02}_c{c}.avi", k) for k in range(3) for g in range(10) for c in range(4)]
    folds = held_out(records_of(folder, rows), group=UCF)
    for fold in folds:
        assert Counter(video.split("_")[1] for video in fold) == {"0": 8, "1": 8, "2": 8}


def test_folds_follow_from_the_videos_and_the_seed_and_not_from_the_order_of_the_list(folder):
    rows = [(f"{number}.mp4", number % 3) for number in range(60)]
    folds = held_out(records_of(folder, rows))
    assert held_out(records_of(folder, rows[::-1])) == folds
    assert held_out(records_of(folder, rows), seed=1) != folds


def test_a_part_of_a_verified_list_keeps_what_was_verified(tmp_path):
    file = tmp_path / "list.csv"
    rows = [f"{n}.mp4,{n % 3},{n + 5},25.0,320,240,{n % 2},{n * 7}" for n in range(6)]
    file.write_text("\n".join(["path,label,num_frames,fps,width,height,plain,crc32", *rows]) + "\n")
    records = read_annotations(file, root=tmp_path, num_classes=3)
    assert records[4].verified == (9, 25.0, 320, 240, False, 28)
    assert list(records.at(np.array([4, 0, 2]))) == [records[4], records[0], records[2]]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"fold": 5}, "data.folds.fold is 5; expected 0..4"),
        ({"fold": 0, "num_folds": 1}, "data.folds.num_folds is 1; expected at least 2"),
        ({"fold": 0, "group": "("}, "which is no regular expression"),
        ({"fold": 0, "group": "(g1)_"}, "which '0.mp4' has no part of"),
        ({"fold": 0, "num_folds": 4}, "and the list has 3 groups"),
    ],
)
def test_what_cannot_be_folded_is_refused(folder, chosen, words):
    records = records_of(folder, [(f"{number}.mp4", number) for number in range(3)])

    def fold() -> None:
        folds = Folds(**chosen)
        folds.require_possible()
        folds.split(records)

    with pytest.raises(ValueError, match=re.escape(words)):
        fold()


@pytest.mark.parametrize("group", [None, r"(.)\.mp4$"])
def test_segments_of_one_video_are_in_one_fold(tmp_path, group):
    rows = "".join(f"{row % 7}.mp4,{row},{row + 1.5},{row % 2}\n" for row in range(70))
    file = tmp_path / "list.csv"
    file.write_text(f"path,start,end,label\n{rows}")
    records = read_annotations(file, root=tmp_path, num_classes=2)
    assigned = Folds(0, num_folds=3, group=group).assign(records)
    assert all(len(set(assigned[video::7].tolist())) == 1 for video in range(7))
    assert set(assigned.tolist()) == {0, 1, 2}
    held = Folds(1, num_folds=3, group=group).split(records)["val"]
    assert [record.segment for record in held] == [
        records[row].segment for row in np.flatnonzero(assigned == 1).tolist()
    ]
