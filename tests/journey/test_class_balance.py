"""A list of few videos of rare classes: drawn and weighed, stopped, gone on with, tested and reported."""

import logging
from pathlib import Path

import pytest
import torch

from gcvideo.cli import main
from tests.data.annotated import write_dataset
from tests.training.runs import last_checkpoint, write_config
from tests.training.trials import NUM_VIDEOS, Kill, Outcome, try_kill, whole_run

BALANCED = {
    "data": {"train_order": {"class_path": "gcvideo.data.ClassBalanced"}},
    "model": {
        "lr_schedule": "gcvideo.training.Constant",  # whatever the number of steps
        "loss": {
            "class_path": "gcvideo.training.CrossEntropy",
            "init_args": {"class_weights": "balanced", "label_smoothing": 0.1},
        },
    },
}


def write_uneven(root: Path, **numbers: int) -> Path:
    """Videos of which all but the last two are of the class `one`, one is of `two`, and one of `three`."""
    write_dataset(root, **numbers)
    videos = [f"{index:02d}.mp4" for index in range(numbers["train"])]
    labels = ["one"] * (len(videos) - 2) + ["two", "three"]
    rows = [f"{video},{label}" for video, label in zip(videos, labels, strict=True)]
    (root / "train.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of two epochs of three steps: whole, and one that stops after four."""
    folder = tmp_path_factory.mktemp("uneven")
    root = write_uneven(folder / "videos", train=6, val=2, test=3)
    main(["fit", "--config", str(write_config(folder / "whole", root, **BALANCED))])
    stop = {"trainer": {"max_steps": 4, "val_check_interval": 1}}
    main(["fit", "--config", str(write_config(folder / "stopped", root, **BALANCED, **stop))])
    return folder


def go_on(folder: Path, *arguments: str) -> list[str]:
    config = str(folder / "stopped" / "run" / "config.yaml")
    until = ("--trainer.max_steps", "-1")
    return ["fit", "--config", config, "--resume", "auto", *until, *arguments]


def test_an_uneven_list_is_balanced_from_fit_to_report(folder, refused, capsys, caplog):
    said = refused(go_on(folder, "--data.train_order", "SquareRoot"))
    assert "stands 1 batches into epoch 1" in said
    assert "data.seed or data.train_order is another than then" in said
    assert "model.loss.class_weights has 2 numbers, and there are 3 classes" in refused(
        go_on(folder, "--model.loss.class_weights", "[1, 2]")
    )

    with caplog.at_level(logging.INFO, logger="gcvideo"):
        main(go_on(folder))
    whole, stopped = (last_checkpoint(folder / name) for name in ("whole", "stopped"))
    assert stopped["global_step"] == 6
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(stopped["state_dict"][name], tensor), name
    assert "class weights, balanced: 0.5 (one, 4 videos) to 2 (two, 1 video)" in caplog.text
    assert "the commonest class, one, 66.7% of the list, is 33.3% of it" in caplog.text
    assert "either of the two balances them" in caplog.text

    run = folder / "stopped" / "run"
    main(
        ["test", "--config", str(run / "config.yaml"), "--ckpt_path", str(run / "checkpoints" / "last.ckpt")]
    )
    main(["report", str(run), "--cost", "false", "--trust", "tests"])
    page = (run / "report.html").read_text()
    assert "ClassBalanced, class weights balanced" in page


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_run_on_a_balanced_list_ends_as_one_never_stopped(tmp_path, processes):
    root = write_uneven(tmp_path / "videos", **NUM_VIDEOS)
    whole = whole_run(tmp_path / "whole", root, processes=processes, **BALANCED)
    kill = Kill(4, workers=1, processes=processes)
    assert try_kill(kill, tmp_path / "killed", root, whole, **BALANCED) == Outcome(True, [])
