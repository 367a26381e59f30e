"""Official files whose samples are parts of videos, or have several classes."""

import json
from pathlib import Path

import pytest

from data_prep import annotations
from data_prep.lists.official import OfficialFileError
from gcvideo.atomic import read_table
from tests.data_prep.test_annotations import DIALECTS, touch, written


def run(output: Path, *arguments: object) -> dict[str, list[tuple[str, ...]]]:
    """The rows of each list that has any, below its header."""
    assert annotations.main([*map(str, arguments), "--output", str(output)]) == 0
    rows = {split: read_table(output / f"{split}.csv") for split in ("train", "val", "test")}
    return {split: [tuple(row.values()) for row in of_split] for split, of_split in rows.items() if of_split}


def header(output: Path, split: str = "train") -> str:
    return (output / f"{split}.csv").read_text().splitlines()[0]


def refused(output: Path) -> list[tuple[str, ...]]:
    """Split, clip, reason, and where it stands, without the folder."""
    rows = read_table(output / "refused.csv")
    return [(r["split"], r["clip"], r["reason"], r["where"].rpartition("/")[2]) for r in rows]


def test_clips_of_kinetics_are_parts_of_whole_videos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = [("run", "0123456789a", 5, 15), ("jump", "0123456789a", 20, 30), ("run", "gone_______", 0, 10)]
    train = written(
        tmp_path / "train.csv", *DIALECTS["DeepMind"], clips=[*clips, ("run", "0123456789a", 9, 9)]
    )
    videos = touch(tmp_path / "v", "x/0123456789a.mkv", "0123456789a_000005_000015.mp4")
    out = tmp_path / "out"
    rows = run(out, "kinetics", "--whole-videos", "--train", train, "--videos", videos)
    assert header(out) == "path,start,end,label"
    assert rows == {"train": [("x/0123456789a.mkv", "5", "15", "1"), ("x/0123456789a.mkv", "20", "30", "0")]}
    assert refused(out) == [("train", "0123456789a#t=9,9", "is empty: from 9 to 9 s", "train.csv:5")]
    assert [row["clip"] for row in read_table(out / "missing.csv")] == ["gone_______#t=0,10"]
    assert read_table(out / "split_report.csv")[0] == {
        **{"split": "train", "listed": "3", "found": "2", "missing": "1", "share missing": "33.33 %"},
        **{"repeated": "0", "unlabelled": "0", "refused": "1"},
    }
    assert "1 annotation left out, each in refused.csv" in capsys.readouterr().err


def activitynet(file: Path, database: dict[str, dict[str, object]], **more: object) -> Path:
    file.write_text(json.dumps({"version": "VERSION 1.3", "database": database, **more}))
    return file


def labelled(subset: str, *segments: tuple[str, float, float], duration: object = 60.5) -> dict[str, object]:
    annotated = [{"label": label, "segment": [start, end]} for label, start, end in segments]
    return {"subset": subset, "duration": duration, "url": "https://example.com", "annotations": annotated}


DATABASE = {
    "aaaaaaaaaaa": labelled("training", ("Surfing", 1.5, 20.25), ("Ballet", 30, 60.5), ("Ballet", 60.5, 70)),
    "bbbbbbbbbbb": labelled("validation", ("Ballet", 3, 2), ("Ballet", 0, 8.1), duration="9.25"),
    "ccccccccccc": labelled("testing"),
    "ddddddddddd": labelled("training"),
}
TAXONOMY = [{"nodeName": name, "nodeId": 1} for name in ("Root", "Surfing", "Ballet")]


def test_segments_of_activitynet(tmp_path: Path) -> None:
    file = activitynet(tmp_path / "a.json", DATABASE, taxonomy=TAXONOMY)
    videos = touch(tmp_path / "v", "v_aaaaaaaaaaa.mp4", "val/bbbbbbbbbbb.webm", "v_ccccccccccc.mkv")
    out = tmp_path / "out"
    rows = run(out, "activitynet", "--annotations", file, "--videos", videos)
    assert rows == {
        "train": [("v_aaaaaaaaaaa.mp4", "1.5", "20.25", "1"), ("v_aaaaaaaaaaa.mp4", "30", "60.5", "0")],
        "val": [("val/bbbbbbbbbbb.webm", "0", "8.1", "0")],
        "test": [("v_ccccccccccc.mkv", "")],
    }
    assert refused(out) == [
        ("train", "v_aaaaaaaaaaa#t=60.5,70", "begins at 60.5 s, and the video ends at 60.5 s", A),
        ("val", "v_bbbbbbbbbbb#t=3,2", "is empty: from 3 to 2 s", A.replace("a" * 11, "b" * 11)),
        ("train", "v_ddddddddddd", "has no annotation", A.replace("a" * 11, "d" * 11)),
    ]


A = "a.json: database.aaaaaaaaaaa"


def test_videos_of_activitynet_have_all_classes_of_their_segments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = activitynet(tmp_path / "a.json", DATABASE)
    videos = touch(tmp_path / "v", "v_aaaaaaaaaaa.mp4", "v_bbbbbbbbbbb.mp4")
    rows = run(
        tmp_path / "out", "activitynet", "--annotations", file, "--videos", videos, "--sample", "video"
    )
    assert rows == {"train": [("v_aaaaaaaaaaa.mp4", "0;1")], "val": [("v_bbbbbbbbbbb.mp4", "0")]}
    assert "clips have several labels: train with data.multi_label true" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], r"a\.json: is not a JSON object with a database"),
        (
            {"database": {"x": {"subset": "training"}}},
            r"database\.x: .* is no object with subset and annotat",
        ),
        (
            {"database": {"x": labelled("holdout")}},
            r"database\.x: subset 'holdout' is not known; expected one",
        ),
        (
            {"database": {"x": labelled("training", ("Surfing", 0, 1), ("Surfing", 0, float("nan")))}},
            r"database\.x\.annotations\[1\]: .* \(nan is no time in seconds\)",
        ),
        (
            {"database": {"x": {"subset": "training", "annotations": [{"label": "A", "segment": [1]}]}}},
            r"database\.x\.annotations\[0\]: .* is not `label, segment: \[start, end\]` in seconds",
        ),
        (
            {"database": {"x": labelled("training", ("Skating", 0, 1))}, "taxonomy": TAXONOMY},
            r"database\.x\.annotations\[0\]: label 'Skating' is not in the file's taxonomy",
        ),
    ],
)
def test_what_is_wrong_in_an_activitynet_file_is_an_error_with_its_key(
    tmp_path: Path, content: object, said: str
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content))
    videos = touch(tmp_path / "v", "x.mp4")
    with pytest.raises(OfficialFileError, match=said):
        run(tmp_path / "out", "activitynet", "--annotations", tmp_path / "a.json", "--videos", videos)


CHARADES = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"


def charades(folder: Path, *rows: tuple[str, str, str]) -> tuple[object, ...]:
    """The arguments for a file of (id, actions, length), and three classes."""
    (folder / "classes.txt").write_text("c000 Walking, slowly\nc001 Opening a door\nc002 Sitting\n")
    lines = [f'{name},S,Den,6,7,Yes,"A, b;\nc",bag;bed,,{actions},{length}' for name, actions, length in rows]
    (folder / "train.csv").write_text("\n".join([CHARADES, *lines, ""]))
    return ("charades", "--train", folder / "train.csv", "--classes", folder / "classes.txt")


def test_videos_of_charades_have_all_their_actions_or_none(tmp_path: Path) -> None:
    arguments = charades(
        tmp_path,
        ("46GP8", "c002 11.90 21.20;c000 0.00 12.60;c002 1 2", "24.83"),
        ("N11GT", "", "18.33"),
        ("0IH69", "c001 19.00 18.00;c001 30.00 33.00", "30.33"),
    )
    videos = touch(tmp_path / "v", "46GP8.mp4", "N11GT.mp4", "0IH69.mp4")
    out = tmp_path / "out"
    rows = run(out, *arguments, "--videos", videos)
    assert rows == {"train": [("46GP8.mp4", "0;2"), ("N11GT.mp4", ""), ("0IH69.mp4", "1")]}
    assert (out / "classes.txt").read_text().splitlines() == ["Walking, slowly", "Opening a door", "Sitting"]
    # Each row is two lines, of a script in quotes.
    assert refused(out) == [("train", "0IH69#t=19,18", "is empty: from 19 to 18 s", "train.csv:7")]


def test_segments_of_charades_with_the_same_times_are_one_with_their_classes(tmp_path: Path) -> None:
    arguments = charades(tmp_path, ("46GP8", "c002 11.90 21.20;c000 0.00 12.60;c001 11.90 21.20", "24.83"))
    videos = touch(tmp_path / "v", "46GP8.mp4")
    rows = run(tmp_path / "out", *arguments, "--videos", videos, "--sample", "segment")
    assert rows == {"train": [("46GP8.mp4", "11.9", "21.2", "1;2"), ("46GP8.mp4", "0", "12.6", "0")]}


@pytest.mark.parametrize(
    ("actions", "said"),
    [
        ("c092 1 2", r"train\.csv:3: action 'c092' is no class of .*classes\.txt"),
        ("c001 1", r"train\.csv:3: action 'c001 1' of a video of 9 s is not `c092 11\.90 21\.20`"),
        ("c001 1 inf", r"train\.csv:3: action 'c001 1 inf'"),
        ("c001 1 2,", r"train\.csv:3: has 12 cells, and the header 11"),
    ],
)
def test_a_broken_row_of_charades_is_an_error_with_its_line(tmp_path: Path, actions: str, said: str) -> None:
    with pytest.raises(OfficialFileError, match=said):
        run(
            tmp_path / "out",
            *charades(tmp_path, ("a", actions, "9")),
            "--videos",
            touch(tmp_path / "v", "a.mp4"),
        )


def test_classes_of_charades_that_are_not_in_order_are_an_error(tmp_path: Path) -> None:
    arguments = charades(tmp_path, ("a", "", "9"))
    (tmp_path / "classes.txt").write_text("c000 Walking\nc002 Sitting\n")
    with pytest.raises(OfficialFileError, match=r"classes\.txt:2: is c002; expected c001, in order"):
        run(tmp_path / "out", *arguments, "--videos", touch(tmp_path / "v", "a.mp4"))


ACTIONS = """label {
  name: "bend/bow (at the waist)"
  label_id: 1
  label_type: PERSON_MOVEMENT
}
label {
  name: "talk to (e.g., self)"
  label_id: 79
  label_type: PERSON_INTERACTION
}
"""
BOX = "0.077,0.151,0.283,0.811"


def ava(folder: Path, *rows: str, actions: str = ACTIONS) -> tuple[object, ...]:
    (folder / "actions.pbtxt").write_text(actions)
    (folder / "ava_train.csv").write_text("\n".join([*rows, ""]))
    return ("ava", "--train", folder / "ava_train.csv", "--classes", folder / "actions.pbtxt")


def test_a_moment_of_ava_is_a_sample_with_the_actions_of_all_persons(tmp_path: Path) -> None:
    arguments = ava(
        tmp_path,
        f"-5KQ66BBWC4,0902,{BOX},79,1",
        f"-5KQ66BBWC4,0903,{BOX},1,1",
        f"-5KQ66BBWC4,0902,{BOX},1,0",
        f"-5KQ66BBWC4,0902,{BOX},79,0",
        f"-5KQ66BBWC4,0904,{BOX},80,0",
        f"-5KQ66BBWC4,0905,{BOX},1,0",
    )
    (tmp_path / "excluded.csv").write_text("-5KQ66BBWC4,0905\n")
    videos = touch(tmp_path / "v", "-5KQ66BBWC4.mkv")
    out = tmp_path / "out"
    options = ("--starts-at", 900, "--excluded", tmp_path / "excluded.csv")
    rows = run(out, *arguments, "--videos", videos, *options)
    assert rows == {
        "train": [
            ("-5KQ66BBWC4.mkv", "0.5", "3.5", "0;1"),
            ("-5KQ66BBWC4.mkv", "1.5", "4.5", "0"),
            ("-5KQ66BBWC4.mkv", "2.5", "5.5", ""),
        ]
    }
    assert (out / "classes.txt").read_text().splitlines() == [
        "bend/bow (at the waist)",
        "talk to (e.g., self)",
    ]
    assert [row[1:3] for row in refused(out)] == [
        ("-5KQ66BBWC4#t=2.5,5.5", f"action 80 is not in {tmp_path / 'actions.pbtxt'}"),
        ("-5KQ66BBWC4#t=3.5,6.5", "is in an --excluded file"),
    ]


def test_moments_before_the_file_are_left_out_and_those_near_its_start_are_shorter(tmp_path: Path) -> None:
    actions = 'item { name: "sit" id: 11 }\nitem { name: "stand" id: 12 }\n'
    rows = (f"abc,0.5,{BOX},12,0", f"abc,-3,{BOX},12,0", "abc,7,,,,,,")
    arguments = ava(tmp_path, *rows, actions=actions)
    videos = touch(tmp_path / "v", "abc.mp4")
    found = run(tmp_path / "out", *arguments, "--videos", videos, "--seconds", 2)
    assert found == {"train": [("abc.mp4", "0", "1.5", "1"), ("abc.mp4", "6", "8", "")]}
    assert refused(tmp_path / "out")[0][2:] == ("begins at -3 s, before the video", "ava_train.csv:2")


@pytest.mark.parametrize(
    ("row", "actions", "said"),
    [
        (
            "abc,0902,1",
            ACTIONS,
            r"ava_train\.csv:1: 'abc,0902,1' is not a row of video_id,middle_frame_timest",
        ),
        (
            f"abc,soon,{BOX},1,0",
            ACTIONS,
            r"ava_train\.csv:1: .* \(could not convert string to float: 'soon'\)",
        ),
        (f"abc,1,{BOX},1,0", "sit\n", r"actions\.pbtxt: names no class"),
        (
            f"abc,1,{BOX},1,0",
            "label { name: 'x' }",
            r"actions\.pbtxt: .* has no name and number of an action",
        ),
        (
            f"abc,1,{BOX},1,0",
            ACTIONS + ACTIONS.replace("1", "2").replace("79", "9"),
            r"twice; fetch it again",
        ),
    ],
)
def test_what_is_wrong_in_files_of_ava_is_an_error(tmp_path: Path, row: str, actions: str, said: str) -> None:
    arguments = ava(tmp_path, row, actions=actions)
    with pytest.raises(OfficialFileError, match=said):
        run(tmp_path / "out", *arguments, "--videos", touch(tmp_path / "v", "abc.mp4"))


def test_a_sample_of_ava_has_a_length(tmp_path: Path) -> None:
    arguments = ava(tmp_path, f"abc,1,{BOX},1,0")
    with pytest.raises(ValueError, match="--seconds 0 is no length of a sample"):
        run(tmp_path / "out", *arguments, "--videos", touch(tmp_path / "v", "abc.mp4"), "--seconds", 0)


def moments(
    folder: Path, *rows: str, classes: str = "crafting,0\nraining,2\nadult+male+speaking,1\n"
) -> tuple:
    (folder / "categories.txt").write_text(classes)
    (folder / "trainingSet.csv").write_text("\n".join([*rows, ""]))
    return ("moments", "--train", folder / "trainingSet.csv", "--classes", folder / "categories.txt")


def test_videos_of_multi_moments_have_the_labels_of_the_class_file(tmp_path: Path) -> None:
    arguments = moments(tmp_path, "0-3-6_5.mp4,2,0", "a.b-c.mp4,1,1")
    videos = touch(tmp_path / "v", "training/0-3-6_5.mp4", "a.b-c.mp4")
    rows = run(tmp_path / "out", *arguments, "--videos", videos)
    assert rows == {"train": [("training/0-3-6_5.mp4", "0;2"), ("a.b-c.mp4", "1")]}
    names = (tmp_path / "out/classes.txt").read_text().splitlines()
    assert names == ["crafting", "adult+male+speaking", "raining"]


@pytest.mark.parametrize(
    ("row", "classes", "said"),
    [
        ("a.mp4,3", "x,0\n", r"trainingSet\.csv:1: label 3 is out of range; .*categories\.txt has 0\.\.0"),
        ("a.mp4,x", "x,0\n", r"trainingSet\.csv:1: 'a\.mp4,x' is not `video\.mp4,label,label,"),
        ("a.mp4,0", "x,0\ny,0\n", r"categories\.txt:2: 'y,0' is not `name,label` of another class"),
        ("a.mp4,0", "x,1\n", r"categories\.txt: labels are not 0\.\.0"),
    ],
)
def test_what_is_wrong_in_files_of_multi_moments_is_an_error(
    tmp_path: Path, row: str, classes: str, said: str
) -> None:
    arguments = moments(tmp_path, row, classes=classes)
    with pytest.raises(OfficialFileError, match=said):
        run(tmp_path / "out", *arguments, "--videos", touch(tmp_path / "v", "a.mp4"))


def test_the_report_counts_a_clip_for_each_of_its_classes(tmp_path: Path) -> None:
    arguments = moments(tmp_path, "a.mp4,2,0", "b.mp4,2", "c.mp4")
    run(tmp_path / "out", *arguments, "--videos", touch(tmp_path / "v", "a.mp4", "c.mp4"))
    assert (tmp_path / "out/annotation_report.csv").read_text().splitlines()[1:] == [
        ",train,1,1,0,0",
        "crafting,train,1,1,0,0",
        "raining,train,2,1,1,0",
    ]
