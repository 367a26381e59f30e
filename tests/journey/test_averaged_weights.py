"""A training that averages its weights, and the commands that take the raw or the averaged ones."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from gcvideo.cli import main
from gcvideo.data import VideoDataModule
from gcvideo.data.on_device import OnDevice
from tests.doors.own import dataset, fit
from tests.training.runs import last_checkpoint

PARTS = ["EMAWeightAveraging", "gcvideo.training.PreciseBatchNorm"]
SETTINGS: list[dict[str, Any]] = [{"decay": 0.5}, {"num_batches": 3}]
CALLBACKS = [{"class_path": p, "init_args": s} for p, s in zip(PARTS, SETTINGS, strict=True)]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return dataset(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def folder(root, tmp_path_factory) -> Path:
    """A run of two epochs; beside it its two sets of weights, each as of a run that averaged nothing."""
    folder = tmp_path_factory.mktemp("averaged")
    level = {"class_path": "gcvideo.training.Constant"}
    fit(folder, root, model={"lr_schedule": level, "learning_rate": 8.0}, trainer={"callbacks": CALLBACKS})
    content = last_checkpoint(folder)
    for name, key in (("averaged", "state_dict"), ("raw", "current_model_state")):
        others = {k: v for k, v in content.items() if k not in ("current_model_state", "averaging_state")}
        torch.save({**others, "state_dict": content[key]}, folder / f"{name}.ckpt")
    return folder


@pytest.fixture(autouse=True)
def _trusted(monkeypatch) -> None:
    monkeypatch.setenv("GCVIDEO_TRUST", "tests")


def run_test(folder: Path, *arguments: str) -> pd.DataFrame:
    main(["test", "--config", str(folder / "run" / "config.yaml"), *arguments])
    return pd.read_csv(folder / "run" / "predictions.csv")


def run_predict(folder: Path, root: Path, *arguments: str) -> pd.DataFrame:
    out = folder / "out"
    main(["predict", str(root / "00.mp4"), "--out", str(out), *arguments])
    return pd.read_csv(out / "predictions.csv")


def test_every_command_takes_the_averaged_weights_or_the_raw_ones(folder, root):
    both = str(folder / "run" / "checkpoints" / "last.ckpt")
    of_test, of_predict = {}, {}
    for state in ("averaged", "raw"):
        alone, chosen = str(folder / f"{state}.ckpt"), ("--weights.state", state)
        of_test[state] = run_test(folder, "--ckpt_path", alone)
        of_predict[state] = run_predict(folder, root, "--checkpoint", alone)
        pd.testing.assert_frame_equal(run_test(folder, "--ckpt_path", both, *chosen), of_test[state])
        pd.testing.assert_frame_equal(
            run_predict(folder, root, "--checkpoint", both, *chosen), of_predict[state]
        )
        path = ("--model.weights.path", both, "--model.weights.state", state)
        pd.testing.assert_frame_equal(run_test(folder, *path), of_test[state])
    # If nothing is said, the averaged ones, which were validated.
    pd.testing.assert_frame_equal(run_test(folder, "--ckpt_path", both), of_test["averaged"])
    pd.testing.assert_frame_equal(run_predict(folder, root, "--checkpoint", both), of_predict["averaged"])
    assert not of_test["averaged"].equals(of_test["raw"])
    assert not of_predict["averaged"].equals(of_predict["raw"])
    main(["report", str(folder / "run"), "--out", str(folder / "report.html")])
    assert "last.ckpt, averaged weights" in (folder / "report.html").read_text()
    assert '"weights": "averaged"' in (folder / "run" / "test_metrics.json").read_text()


def test_precise_statistics_are_those_of_the_averaged_weights(folder):
    averaged = last_checkpoint(folder)["state_dict"]
    data = VideoDataModule.load_from_checkpoint(folder / "averaged.ckpt", weights_only=True)
    clips = torch.cat(
        [OnDevice(data, torch.device("cpu"))(batch).views.flatten(0, 1) for batch in data.train_dataloader()]
    )
    weight, bias = averaged["network.first.weight"], averaged["network.first.bias"]
    seen = (
        F.conv3d(clips.double(), weight.double(), bias.double(), stride=(1, 2, 2)).transpose(0, 1).flatten(1)
    )
    mean, variance = averaged["network.first_norm.running_mean"], averaged["network.first_norm.running_var"]
    torch.testing.assert_close(mean.double(), seen.mean(1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(variance.double(), seen.var(1), rtol=1e-2, atol=1e-5)
    raw = last_checkpoint(folder)["current_model_state"]["network.first_norm.running_mean"].double()
    assert (raw - seen.mean(1)).abs().max() > 1e-3


def test_a_choice_that_is_none_is_refused(folder, root, capsys):
    config, alone = str(folder / "run" / "config.yaml"), str(folder / "raw.ckpt")
    nothing = f"{alone}: weights.state is raw, but its training averaged no weights; leave weights.state out"
    for arguments, message in {
        ("test", "--config", config, "--ckpt_path", alone): nothing,
        ("predict", str(root / "00.mp4"), "--checkpoint", alone): nothing,
        (
            "validate",
            "--config",
            config,
        ): "weights.state is raw, but no checkpoint is named",
        ("fit", "--config", config, "--resume", "auto"): "weights.state is raw, and fit goes on with both",
    }.items():
        with pytest.raises(SystemExit):
            main([*arguments, "--weights.state", "raw"])
        assert message in capsys.readouterr().err
