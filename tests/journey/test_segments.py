"""Segments of videos that show one class in one part and another in the next, through every command."""

import csv
import json
import re
import signal
from base64 import b64decode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gcvideo.cli import main
from gcvideo.cli.report import thumbnails
from gcvideo.data import VideoDataModule
from tests.doors.own import ends_apart
from tests.journey.colours import write_film
from tests.training.runs import batches, fault, run, said, write_config

FIRST, SECOND, FPS = 20, 15, 25
"""Frames of the two parts of a video."""
NETWORK = {"network": {"class_path": "tests.journey.colours.LearntColour"}, "learning_rate": 0.5}
DATA = {"batch_size": 2, "blend": None, "clip": {"num_frames": 4, "stride": 3}, "repeats": 2}
NO_VIDEO = "its segment t=1.2,2.5 ends behind the video, which ends at 1.400 s; correct the list"


def rows(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text().splitlines()))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven videos of two parts; the lists are in seconds, and that of the test in frames."""
    root = tmp_path_factory.mktemp("videos")
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number in range(7):
        classes = ("one", "two") if number % 2 else ("two", "one")
        write_film(root / f"{number}.mp4", [(classes[0], FIRST, FPS), (classes[1], SECOND, FPS)])
        split = "train" if number < 3 else "val" if number < 5 else "test"
        change, end = (FIRST, FIRST + SECOND) if split == "test" else (FIRST / FPS, (FIRST + SECOND) / FPS)
        lists[split] += [f"{number}.mp4,0,{change},{classes[0]}", f"{number}.mp4,{change},{end},{classes[1]}"]
    lists["train"].append("0.mp4,1.2,2.5,one")
    for split, lines in lists.items():
        bounds = "start_frame,end_frame" if split == "test" else "start,end"
        (root / f"{split}.csv").write_text("\n".join([f"path,{bounds},label", *lines]) + "\n")
    (root / "classes.txt").write_text("one\ntwo\n")
    return root


SETTINGS = {
    "data": {**DATA, "on_error": "skip", "max_unreadable_share": 0.2},
    "model": NETWORK,
    "trainer": {"max_epochs": 4},
}


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("trained")
    main(["fit", "--config", str(write_config(folder, root, **SETTINGS))])
    return folder


def test_a_run_is_tested_and_asked_for_lists_of_segments(
    root: Path, trained: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    unreadable = rows(trained / "run" / "unreadable.csv")
    assert [(row["path"], row["reason"]) for row in unreadable] == [("0.mp4#t=1.2,2.5", NO_VIDEO)]
    read = {video for step in batches(trained).values() for video in step.get("videos", [])}
    assert read == {f"{n}.mp4#t={part}" for n in range(3) for part in ("0,0.8", "0.8,1.4")}
    checkpoint = trained / "run" / "checkpoints" / "last.ckpt"
    main(["test", "--config", str(trained / "run.yaml"), "--ckpt_path", str(checkpoint)])
    told_apart(trained / "run")

    # The list itself is predicted, and has features; its labels are of no account
    given = ["--checkpoint", str(checkpoint), "--trust", "tests"]
    out = tmp_path / "out"
    main(["predict", str(root / "val.csv"), *given, "--out", str(out), "--timeline", "--hop_seconds", "0.1"])
    predicted = rows(out / "predictions.csv")
    labels = {f"{row['path']}#t={row['start']},{row['end']}": row["label"] for row in rows(root / "val.csv")}
    assert {row["video"].removeprefix(f"{root}/"): row["prediction"] for row in predicted} == labels
    assert [(float(row["start"]), float(row["end"])) for row in predicted] == [(0, 0.8), (0.8, 1.4)] * 2
    for row in rows(out / "timeline.csv"):
        start, end = map(float, re.findall(r"#t=(.*),(.*)", row["video"])[0])
        assert start <= float(row["start_seconds"]) < float(row["end_seconds"]) <= end + 1e-3
    assert sorted(file.name for file in (out / "timelines").iterdir())[:2] == [
        "3_t_0-0.8.png",
        "3_t_0.8-1.4.png",
    ]
    main(["features", str(root / "val.csv"), *given, "--out", str(out / "f.npz"), "--per", "clip"])
    features = np.load(out / "f.npz")
    assert sorted(set(features["video"])) == sorted(f"{root}/{video}" for video in labels)
    assert all(
        seconds >= 0.8
        for video, seconds in zip(features["video"], features["start_seconds"], strict=True)
        if "=0.8" in video
    )
    said_of = complaint(["predict", str(root / "val.csv"), *given, "--annotate", "--out", str(out)])
    assert "annotate writes copies of whole videos, and a list names segments; leave it out" in said_of
    said_of = complaint(["predict", str(root / "train.csv"), *given, "--out", str(out)])
    assert f"1 of 7 videos could not be read:\n  {root}/0.mp4#t=1.2,2.5: {NO_VIDEO}" in said_of
    main(["report", str(trained / "run"), "--out", str(tmp_path / "report.html"), "--trust", "tests"])


def told_apart(run_dir: Path) -> None:
    """The parts of the test videos are."""
    tested = rows(run_dir / "predictions.csv")
    named = [(row["video"], row["start_frame"], row["end_frame"]) for row in tested]
    parts = [(n, start, end) for n in (5, 6) for start, end in ((0, 20), (20, 35))]
    assert named == [(f"{n}.mp4#frames={start},{end}", str(start), str(end)) for n, start, end in parts]
    assert [row["label"] for row in tested] == ["one", "two", "two", "one"]
    assert all(row["prediction"] == row["label"] for row in tested)
    assert json.loads((run_dir / "test_metrics.json").read_text())["test/top1"] == 1.0


@pytest.mark.slow
def test_a_killed_run_with_loader_processes_ends_alike_and_is_tested_by_two_processes(
    root: Path, trained: Path, tmp_path: Path
) -> None:
    stop = fault("Signal", number=int(signal.SIGKILL), step=5, once=str(tmp_path / "once"))
    data = {**SETTINGS["data"], "num_workers": 2}
    config = write_config(tmp_path, root, stop, **{**SETTINGS, "data": data})
    assert run(config) == [-signal.SIGKILL]
    assert run(config, "--resume", "auto") == [0], said(tmp_path)
    assert ends_apart(tmp_path, trained) == []
    checkpoint = str(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert run(config, "--ckpt_path", checkpoint, command="test", processes=2) == [0, 0], said(tmp_path)
    told_apart(tmp_path / "run")


def test_the_report_draws_frames_of_the_segment(root: Path) -> None:
    data = VideoDataModule(root)
    drawn = thumbnails(["5.mp4#frames=0,20", "5.mp4#frames=20,35"], data)
    colours = [
        np.asarray(Image.open(BytesIO(b64decode(drawn[video].partition(",")[2])))).mean((0, 1))
        for video in drawn
    ]
    assert [int(colour.argmax()) for colour in colours] == [0, 1]  # red, then green


def test_peek_names_the_segments_of_its_clips(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(write_config(tmp_path, root, data=DATA, model=NETWORK))
    main(["peek", "--config", config, "--out", str(tmp_path / "peek"), "--data.on_error", "skip"])
    assert re.search(r"clip 1: (one|two)   \(\d\.mp4#t=0(\.8)?,", capsys.readouterr().err)
