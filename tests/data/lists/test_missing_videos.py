"""Videos that are not there are found before a run, and videos of both lists are pointed out."""

import logging
import os
import re
from pathlib import Path

import pytest

from gcvideo.data import VideoDataModule
from gcvideo.data.lists import missing_videos as module
from gcvideo.data.lists.annotations import read_annotations
from gcvideo.data.lists.missing_videos import missing_videos, said_of_missing, said_of_shared


def listed(root: Path, *paths: str, name: str = "train.csv") -> Path:
    root.mkdir(exist_ok=True)
    (root / name).write_text("path,label\n" + "".join(f"{path},0\n" for path in paths))
    return root


def touched(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def missing(root: Path) -> list[str]:
    records = read_annotations(root / "train.csv", root=root, num_classes=2)
    return [records[row].video_id for row in missing_videos(records)]


@pytest.mark.parametrize("items", [1, 2, 64])
def test_files_that_are_not_there_are_found_however_their_paths_are_written(tmp_path, items, monkeypatch):
    monkeypatch.setattr(module, "ITEMS_OF_A_TASK", items)
    monkeypatch.setattr(module, "TASKS_AT_ONCE", 2)
    there = ["a/b/x.mp4", "y.mp4", "./a//z.mp4", "a/../c/é.mp4", f"{tmp_path}/d/x.mp4"]
    gone = ["a/b/no.mp4", "no.mp4", "no/x.mp4", "y.mp4/x.mp4", "./a/no.mp4", f"{tmp_path}/no/x.mp4", "a/b"]
    touched(tmp_path, *there)
    root = listed(tmp_path, *(path for pair in zip(gone, there, strict=False) for path in pair), *gone[5:])
    assert missing(root) == gone


def test_a_link_is_there_where_it_leads_to_a_file(tmp_path):
    touched(tmp_path / "elsewhere", "x.mp4")
    root = listed(
        tmp_path / "data", "link.mp4", "dangling.mp4", "folder/x.mp4", "nowhere/x.mp4", "to_folder.mp4"
    )
    for name, target in {
        "link.mp4": "../elsewhere/x.mp4",
        "dangling.mp4": "../elsewhere/y.mp4",
        "folder": "../elsewhere",
        "nowhere": "../gone",
        "to_folder.mp4": "../elsewhere",
    }.items():
        (root / name).symlink_to(target)
    assert missing(root) == ["dangling.mp4", "nowhere/x.mp4", "to_folder.mp4"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_in_a_folder_that_may_not_be_listed_every_file_is_asked_for(tmp_path):
    touched(tmp_path, "a/x.mp4")
    root = listed(tmp_path, "a/x.mp4", "a/y.mp4")
    (root / "a").chmod(0o100)
    assert missing(root) == ["a/y.mp4"]
    (root / "a").chmod(0o700)


def test_the_message_counts_the_missing_names_five_and_says_what_would_do(tmp_path):
    touched(tmp_path, "x.mp4")
    root = listed(tmp_path, "x.mp4", *(f"{number}.mp4" for number in range(7)))
    records = read_annotations(root / "train.csv", root=root, num_classes=2)
    with pytest.raises(ValueError, match="7 of 8 videos are not there") as caught:
        said_of_missing(records, file=root / "train.csv", max_share=0.5)
    assert str(caught.value) == (
        f"{root}/train.csv: 7 of 8 videos are not there: '0.mp4', '1.mp4', '2.mp4', '3.mp4', '4.mp4', ... "
        f"below {root}; correct data.root or data.videos, allow for them with data.on_error skip "
        "(and data.max_unreadable_share), or drop them from the list"
    )
    said = said_of_missing(records, file=root / "train.csv", max_share=0.9)
    assert said is not None
    assert said.endswith("'4.mp4', ...; they are counted as unreadable")


@pytest.mark.parametrize(
    ("path", "there", "hint"),
    [
        (
            "-3B32lodo2M",
            "-3B32lodo2M.webm",
            r"\(but '-3B32lodo2M.webm' is; names in lists have their endings\)",
        ),
        (
            "frames/v0",
            "frames/v0/img_00001.jpg",
            r"\('frames/v0' is a folder; frames as pictures are read with data.source frames\)",
        ),
        ("clips.tar/x.mp4", "clips.tar", r"\(ROOT/clips.tar is a file; unpack it\)"),
    ],
)
def test_the_message_guesses_at_the_reason(tmp_path, path, there, hint):
    touched(tmp_path, there)
    root = listed(tmp_path, path)
    with pytest.raises(ValueError, match=hint.replace("ROOT", str(tmp_path))):
        VideoDataModule(root, val=Path("train.csv"), num_classes=1).setup("fit")


def prepared(root: Path, **settings: object) -> VideoDataModule:
    """Of 20 training and 4 validation videos, which are none of those, one of each is missing."""
    touched(root, *(f"{number}.mp4" for number in range(24) if number not in (7, 21)))
    listed(root, *(f"{number}.mp4" for number in range(20)))
    listed(root, *(f"{number}.mp4" for number in range(20, 24)), name="val.csv")
    return VideoDataModule(root, num_classes=1, **settings)  # type: ignore[arg-type]


def test_a_missing_training_video_ends_fit_before_it_begins(tmp_path):
    with pytest.raises(ValueError, match=r"train\.csv: 1 of 20 videos are not there: '7\.mp4' below"):
        prepared(tmp_path).setup("fit")


def test_with_skip_missing_training_videos_are_counted_up_to_the_stated_share(tmp_path, caplog):
    prepared(tmp_path, on_error="skip").setup("fit")
    assert "train.csv: 1 of 20 videos are not there: '7.mp4'; they are counted as unreadable" in caplog.text
    with pytest.raises(ValueError, match=r"1 of 20 videos are not there"):
        prepared(tmp_path, on_error="skip", max_unreadable_share=0.04).setup("fit")


def test_missing_validation_videos_are_counted_and_a_list_without_any_video_is_refused(tmp_path, caplog):
    data = prepared(tmp_path)
    data.setup("validate")
    assert "val.csv: 1 of 4 videos are not there: '21.mp4'; they are counted as unreadable" in caplog.text
    listed(tmp_path, "no/x.mp4", "no/y.mp4", name="test.csv")
    with pytest.raises(
        ValueError, match=r"test\.csv: 2 of 2 videos are not there: 'no/x\.mp4', 'no/y\.mp4' below"
    ):
        data.setup("test")


def test_validation_videos_that_are_trained_on_are_counted_in_the_log(tmp_path, caplog):
    data = prepared(tmp_path)
    (tmp_path / "7.mp4").touch()
    listed(tmp_path, "./20.mp4", "3.mp4", "22.mp4", f"{tmp_path}/5.mp4", name="val.csv")
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        data.setup("fit")
    assert "val.csv: 2 of 4 validation videos are training videos too; val/ metrics" in caplog.text


def segments(root: Path, *rows: str, name: str = "train.csv", header: str = "path,start,end,label") -> Path:
    root.mkdir(exist_ok=True)
    (root / name).write_text(header + "\n" + "".join(f"{row},0\n" for row in rows))
    return root


def test_a_video_of_many_segments_is_looked_for_once_and_named_once(tmp_path, monkeypatch):
    touched(tmp_path / "elsewhere", "x.mp4")
    root = segments(
        tmp_path, *(f"{path},{t},{t + 1}" for t in range(50) for path in ("x.mp4", "gone.mp4", "y.mp4"))
    )
    (root / "x.mp4").symlink_to("elsewhere/x.mp4")
    (root / "y.mp4").symlink_to("nowhere.mp4")
    asked: list[str] = []
    monkeypatch.setattr(module, "isfile", lambda path: asked.append(path) or os.path.isfile(path))  # noqa: PTH113
    records = read_annotations(root / "train.csv", root=root, num_classes=2)
    found = missing_videos(records)
    assert [records[row].written for row in found] == ["gone.mp4", "y.mp4"] * 50
    assert sorted(asked) == [f"{root}/{name}" for name in ("gone.mp4", "x.mp4", "y.mp4")]
    said = said_of_missing(records, file=root / "train.csv", max_share=0.9)
    assert said == (
        f"{root}/train.csv: 100 of 150 segments are of videos that are not there: 'gone.mp4', 'y.mp4'; "
        "they are counted as unreadable"
    )


@pytest.mark.parametrize(
    ("rows", "header", "said"),
    [
        (["b.mp4,0,9"], "path,start,end,label", None),
        (
            ["x.mp4,10,12", "b.mp4,0,1"],
            "path,start,end,label",
            "1 of 2 validation segments are of training videos, beside",
        ),
        (
            ["x.mp4,9.9,12", "x.mp4,10,11"],
            "path,start,end,label",
            "2 of 2 .* and 1 of them overlap segments .*by heart",
        ),
        (["x.mp4,10,12"], "path,start_frame,end_frame,label", "1 of 1 .* and 1 of them overlap"),
    ],
)
def test_validation_segments_of_training_videos_are_pointed_out_with_those_that_overlap(
    tmp_path, rows, header, said
):
    segments(tmp_path, "x.mp4,0,5", "x.mp4,5,10", "a.mp4,0,5")
    segments(tmp_path, *rows, name="val.csv", header=header)
    training, validation = (
        read_annotations(tmp_path / name, root=tmp_path, num_classes=2) for name in ("train.csv", "val.csv")
    )
    found = said_of_shared(validation, training, file=tmp_path / "val.csv")
    assert found is None if said is None else re.search(said, found)
