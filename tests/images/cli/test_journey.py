"""fit, test and predict on pictures, one after another on what the one before left."""

import contextlib
import io
import json
import signal
from pathlib import Path
from typing import Any, NamedTuple

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


class Fitted(NamedTuple):
    run: Path
    said: str


@pytest.fixture(scope="module")
def fitted(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A run of two epochs, and what it said; its folder may get results of tests."""
    run, said = tmp_path_factory.mktemp("fitted") / "run", io.StringIO()
    with contextlib.redirect_stderr(said):
        main(command("fit", root, run))
    return Fitted(run, said.getvalue())


def test_a_run_is_fitted_tested_and_predicts(root: Path, fitted: Fitted, tmp_path: Path) -> None:
    run = fitted.run
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["class_path"] == "gcvideo.images.classification.classifier.ImageClassifier"
    best = run / "checkpoints" / "best.ckpt"
    (line,) = [line for line in fitted.said.splitlines() if line.startswith("next: ")]
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


@pytest.mark.slow
def test_two_processes_test_as_one(root: Path, fitted: Fitted, tmp_path: Path) -> None:
    ckpt = ("--ckpt_path", str(fitted.run / "checkpoints" / "last.ckpt"))
    for processes in (1, 2):
        # 10 pictures in batches of 4: one process has a batch more than the other
        run = tmp_path / str(processes)
        run.mkdir()
        line = command("test", root, run, *ckpt, devices=str(processes))
        codes = finish(start_line(line, folder=run, processes=processes))
        assert codes == [0] * processes, said(run)
    one, two = (json.loads((tmp_path / n / "test_metrics.json").read_text()) for n in ("1", "2"))
    assert two.pop("test/loss") == pytest.approx(one.pop("test/loss"), rel=1e-6)
    assert two == one
    tables = [pd.read_csv(tmp_path / n / "predictions.csv") for n in ("1", "2")]
    pd.testing.assert_frame_equal(*tables, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fit", "--config", "base+folder"], "model.backbone and data.root must be given"),
        (["fit", "--config", "base+slow_r50"], "no configuration is called slow_r50"),
        (["fit", "--model", "torch.nn.Linear"], "model names torch.nn.Linear, which is no ImageModule"),
        (["predict", "nowhere.jpg", "--ckpt_path", "BEST"], "nowhere.jpg: there is no such file or folder"),
        (["predict", "--ckpt_path", "BEST"], "predict takes pictures and a checkpoint"),
        (["train"], "gcvideo image: no command 'train'; one of fit, validate, test, predict, attention"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(fitted: Fitted, words, said: str, capsys) -> None:
    best = str(fitted.run / "checkpoints" / "best.ckpt")
    with pytest.raises(SystemExit) as ended:
        main(["image", *(best if word == "BEST" else word for word in words), "--trust", "tests"])
    assert ended.value.code in (1, 2)
    line = capsys.readouterr().err.splitlines()[-1]
    assert said in line
    assert line.startswith("gcvideo image")


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
