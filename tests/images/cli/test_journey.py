"""fit, test and predict on pictures, one after another on what the one before left."""

import json
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from gcvideo.cli import main
from tests.images.shapes import command, write_shapes
from tests.training.runs import finish, said, start_line


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes") / "data")


def test_a_run_is_fitted_tested_and_predicts(root: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    main(command("fit", root, run))
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["class_path"] == "gcvideo.images.classification.classifier.ImageClassifier"
    best = run / "checkpoints" / "best.ckpt"
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("next: ")]
    assert line == f"next: gcvideo image test --config {run / 'config.yaml'} --ckpt_path {best}"

    main(line.removeprefix("next: gcvideo ").split())
    figures = json.loads((run / "test_metrics.json").read_text())
    table = pd.read_csv(run / "predictions.csv")
    assert figures["test/top1"] == pytest.approx((table["label"] == table["prediction"]).mean())
    assert figures["protocol"]["pictures"] == len(table) == 10
    curve = pd.read_csv(run / "metrics" / "metrics.csv")["val/top1"]
    assert figures["test/top1"] == pytest.approx(curve.max())

    out = ["--out", str(tmp_path / "out"), "--trust", "tests"]
    main(["image", "predict", str(root / "val"), "--ckpt_path", str(best), *out])
    predicted = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert predicted["picture"].tolist() == sorted(str(root / "val" / name) for name in table["picture"])
    assert predicted["prediction"].tolist() == table["prediction"].tolist()
    assert predicted["probability"].tolist() == pytest.approx(table["probability"].tolist(), abs=1e-5)


@pytest.mark.parametrize("workers", [pytest.param("0", marks=pytest.mark.slow), "1"])
def test_a_run_that_is_killed_goes_on_as_if_nothing_had_happened(root: Path, tmp_path: Path, workers) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    settings = ("--safeguard.every_steps", "2", "--data.num_workers", workers)
    kill = ("--trainer.callbacks+", "tests.training.faults.Signal", "--trainer.callbacks.number")
    kill += (str(int(signal.SIGKILL)), "--trainer.callbacks.step", "9")
    assert finish(start_line(command("fit", root, whole, *settings), folder=tmp_path)) == [0], said(tmp_path)
    line = command("fit", root, parts, *settings)
    assert finish(start_line([*line, *kill], folder=tmp_path)) == [-signal.SIGKILL], said(tmp_path)
    assert last_of(parts)["global_step"] == 8  # of 6 an epoch
    assert finish(start_line([*line, "--resume", "auto"], folder=tmp_path)) == [0], said(tmp_path)
    ends = [last_of(run)["state_dict"] for run in (whole, parts)]
    assert {name for name, tensor in ends[0].items() if not torch.equal(tensor, ends[1][name])} == set()
    assert (whole / "metrics" / "metrics.csv").read_text() == (parts / "metrics" / "metrics.csv").read_text()


def last_of(run: Path) -> dict[str, Any]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
