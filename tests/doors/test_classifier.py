"""A classifier and a data module of the user's own, from `gcvideo fit` to what uses its checkpoint."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from gcvideo.cli import main
from tests.doors.own import dataset, write_module
from tests.training.runs import last_checkpoint, write_config

OWN = '''
from typing import Any

from gcvideo.data import VideoDataModule
from gcvideo.training import VideoClassifier


class Certain(VideoClassifier):
    """Is certain of one class whatever it sees."""

    def __init__(self, *args: Any, of: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.of = of

    def forward(self, views):
        probabilities = super().forward(views)
        return probabilities * 0 + (probabilities.new_tensor(range(len(self.class_names))) == self.of)


class FirstVideos(VideoDataModule):
    """Trains on the first videos of the list."""

    def __init__(self, *args: Any, first: int = 2, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.first = first

    def training_dataset(self, records):
        return super().training_dataset(list(records)[: self.first])
'''


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained for an epoch of two steps on four of six videos; only tests may find the module."""
    folder = tmp_path_factory.mktemp("own")
    root = dataset(folder / "videos")
    with pytest.MonkeyPatch.context() as patch:
        write_module(folder / "own", patch, "certain", OWN)
        file = str(write_config(folder, root, trainer={"max_epochs": 1}))
        own = [
            "--model",
            "certain.Certain",
            "--model.of=1",
            "--data=certain.FirstVideos",
            "--data.first",
            "4",
        ]
        main(["fit", "--config", file, *own])
    return folder


@pytest.fixture
def folder(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(run / "own")
    return run


def test_classes_of_ones_own_are_written_down_and_come_back(folder, capsys):
    checkpoint = last_checkpoint(folder)
    assert checkpoint["global_step"] == 2
    recorded = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    for config in (recorded, checkpoint["config"]):
        assert config["model"]["class_path"] == "certain.Certain"
        assert config["model"]["init_args"]["of"] == 1
        assert config["data"]["class_path"] == "certain.FirstVideos"
        assert config["data"]["init_args"]["first"] == 4

    # Goes on by its own config.yaml, with another setting of its own class.
    config = str(folder / "run" / "config.yaml")
    main(
        [
            "fit",
            "--config",
            config,
            "--resume",
            "auto",
            "--trainer.max_epochs",
            "2",
            "--model.init_args.of",
            "2",
        ]
    )
    said = capsys.readouterr().err
    assert "model.of 2 (was 1); trainer.max_epochs 2 (was 1)" in said
    assert last_checkpoint(folder)["global_step"] == 4

    # --print_config says the same again.
    with pytest.raises(SystemExit):
        main(["fit", "--config", config, "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["class_path"] == "certain.Certain"
    assert printed["data"]["init_args"]["first"] == 4


def test_a_checkpoint_alone_brings_its_classes_if_they_are_trusted(folder, tmp_path, capsys):
    file = str(folder / "run" / "checkpoints" / "last.ckpt")
    capsys.readouterr()
    for command in (["test", "--ckpt_path"], ["predict", str(folder / "videos"), "--checkpoint"]):
        with pytest.raises(SystemExit):
            main([*command, file])
        assert "names certain.Certain, whose module is not trusted" in capsys.readouterr().err

    certain = torch.load(file, weights_only=True)["config"]["model"]["init_args"]["of"]
    trust = ["--trust", "certain", "--trust", "tests"]
    main(["test", "--ckpt_path", file, *trust])
    metrics = json.loads((folder / "run" / "test_metrics.json").read_text())
    assert metrics["test/top1"] == pytest.approx(1 / 3)  # of three videos of three classes
    main(["predict", str(folder / "videos" / "00.mp4"), "--checkpoint", file, *trust, "--out", str(tmp_path)])
    assert ["one", "two", "three"][certain] in (tmp_path / "predictions.csv").read_text().splitlines()[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--model", "torch.nn.Linear"],
            "model names torch.nn.Linear, which is no VideoClassifier or not there",
        ),
        (
            ["--data", "gcvideo.data.Nothing"],
            "data names gcvideo.data.Nothing, which is no VideoDataModule or",
        ),
        (["--model=certain.Certain", "--model.off=1"], "model.off is no setting"),
    ],
)
def test_a_class_that_will_not_do_is_refused_in_a_line(folder, capsys, arguments, said):
    with pytest.raises(SystemExit):
        main(["fit", *arguments])
    assert said in capsys.readouterr().err
