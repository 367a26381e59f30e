"""From official files of segments to a tested network, by the commands alone."""

import importlib
import json
from pathlib import Path

from gcvideo.atomic import read_table
from gcvideo.cli import main
from tests.data.encoding import h264, write_video
from tests.training.runs import write_config


def prepare(step: str, *arguments: object) -> None:
    """Run a step of data_prep."""
    assert importlib.import_module(f"data_prep.{step}").main([*map(str, arguments)]) == 0


def prepared(folder: Path, dataset: str, *official: object) -> Path:
    """Convert, transcode, verify and count the videos of a folder; return where the lists are."""
    lists, small, videos = folder / "lists", folder / "small", folder / "videos"
    prepare("annotations", dataset, *official, "--videos", videos, "--output", lists)
    files = [file for split in ("train", "val", "test") if read_table(file := lists / f"{split}.csv")]
    sizes = ("--short-side", 32, "--workers", 1)
    prepare("transcode", "--root", videos, "--output", small, "--lists", *files, *sizes)
    moved = [small / "lists" / file.name for file in files]
    prepare("verify", "--root", small, "--output", small, "--lists", *moved, "--workers", 1)
    known = ("--manifests", small, "--annotations", lists, "--root", small)
    prepare("stats", *known, "--output", small)
    return small


def segments(*times: tuple[str, float, float]) -> list[dict[str, object]]:
    return [{"label": label, "segment": [start, end]} for label, start, end in times]


def test_segments_of_activitynet_are_converted_trained_on_and_tested(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for name, num_frames in (("aaaaaaaaaaa", 60), ("bbbbbbbbbbb", 50), ("ccccccccccc", 40)):
        write_video(videos / f"v_{name}.mp4", num_frames=num_frames, options=h264(keyint=250))
    database = {
        "aaaaaaaaaaa": {
            **{"subset": "training", "duration": 2.4},
            "annotations": segments(("Surfing", 0.2, 1), ("Ballet", 1, 2.5), ("Ballet", 2.6, 3)),
        },
        "bbbbbbbbbbb": {
            **{"subset": "training", "duration": 9},  # as the data set has it; the file is of 2 s
            "annotations": segments(("Ballet", 0, 0.9), ("Surfing", 1.5, 8), ("Surfing", 0.5, 1.5)),
        },
        "ccccccccccc": {
            "subset": "validation",
            "annotations": segments(("Ballet", 0.3, 0.9), ("Surfing", 0, 1.6)),
        },
        "ddddddddddd": {"subset": "validation", "annotations": segments(("Ballet", 1, 2))},
    }
    (tmp_path / "anet.json").write_text(json.dumps({"database": database}))
    small = prepared(tmp_path, "activitynet", "--annotations", tmp_path / "anet.json")
    # Each annotation is in a list, or in a report with its reason.
    assert [row["clip"] for row in read_table(tmp_path / "lists/refused.csv")] == ["v_aaaaaaaaaaa#t=2.6,3"]
    assert [row["clip"] for row in read_table(tmp_path / "lists/missing.csv")] == ["v_ddddddddddd#t=1,2"]
    assert [row["path"] for row in read_table(small / "bad.csv")] == ["v_bbbbbbbbbbb.mp4#t=1.5,8"]
    assert len(read_table(small / "train.csv")) == 4
    assert len(read_table(small / "transcode_report.csv")) == 3

    config = str(write_config(tmp_path / "fit", small, data={"test": "val.csv"}, trainer={"max_epochs": 1}))
    main(["fit", "--config", config])
    checkpoint = str(tmp_path / "fit/run/checkpoints/last.ckpt")
    main(["test", "--config", config, "--ckpt_path", checkpoint])
    tested = sorted(read_table(tmp_path / "fit/run/predictions.csv"), key=lambda row: row["video"])
    assert [tuple(row.values())[:4] for row in tested] == [
        ("v_ccccccccccc.mp4#t=0,1.6", "0.0", "1.6", "Surfing"),
        ("v_ccccccccccc.mp4#t=0.3,0.9", "0.3", "0.9", "Ballet"),
    ]


CHARADES = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"


def test_label_sets_of_charades_are_converted_trained_on_and_tested(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    actions = {
        "46GP8": "c002 0.50 1.20;c000 0.00 1.60;c002 1.30 2.00",
        "N11GT": "",
        "0IH69": "c001 0.10 1.10;c000 3.00 4.00",
        "YSKX3": "c001 0.00 2.40;c000 0.00 1.00",
    }
    for name in actions:
        write_video(videos / f"{name}.mp4", num_frames=60, options=h264(keyint=250))
    for split, names in {"train": ("46GP8", "N11GT", "YSKX3"), "test": ("0IH69",)}.items():
        rows = [f'{name},S,Den,6,7,Yes,"A, b; c",bag,,{actions[name]},2.40' for name in names]
        (tmp_path / f"{split}.csv").write_text("\n".join([CHARADES, *rows, ""]))
    (tmp_path / "classes.txt").write_text("c000 Sitting\nc001 Walking\nc002 Opening a door\n")
    official = ("--train", tmp_path / "train.csv", "--val", tmp_path / "test.csv")
    small = prepared(tmp_path, "charades", *official, "--classes", tmp_path / "classes.txt")
    assert [row["label"] for row in read_table(small / "train.csv")] == ["0;2", "", "0;1"]
    assert [row["clip"] for row in read_table(tmp_path / "lists/refused.csv")] == ["0IH69#t=3,4"]
    assert read_table(small / "label_pairs.csv")[0] == {
        **{"class": "Sitting", "and class": "Walking", "samples": "1"},
    }

    data = {"test": "val.csv", "multi_label": True}
    sections = {"data": data, "trainer": {"max_epochs": 1}}
    config = str(write_config(tmp_path / "fit", small, **sections))
    main(["fit", "--config", config])
    checkpoint = str(tmp_path / "fit/run/checkpoints/last.ckpt")
    main(["test", "--config", config, "--ckpt_path", checkpoint])
    (row,) = read_table(tmp_path / "fit/run/predictions.csv")
    assert (row["video"], row["label"]) == ("0IH69.mp4", "Walking")
