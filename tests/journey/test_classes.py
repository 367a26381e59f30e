"""A checkpoint knows its class names: they are compared with the data's wherever the two meet."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from gcvideo.cli import main
from gcvideo.data.lists.classes import Trained, match
from tests.data.annotated import CLASS_NAMES, write_dataset
from tests.training.runs import write_config

TURNED = [CLASS_NAMES[2], CLASS_NAMES[0], CLASS_NAMES[1]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch on three named classes, and its videos; the folder must stay as it is."""
    folder = tmp_path_factory.mktemp("trained")
    root = write_dataset(folder / "videos", train=6, val=6, test=6)
    main(["fit", "--config", str(write_config(folder, root, trainer={"max_epochs": 1}))])
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, whose config names the copy's videos."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def command(folder: Path, name: str, *arguments: str) -> list[str]:
    config = ("--config", str(folder / "run" / "config.yaml"), "--data.root", str(folder / "videos"))
    return [name, *config, *arguments]


def figures_of(folder: Path, name: str = "test", *arguments: str) -> dict[str, float]:
    """The figures of an evaluation of the run's checkpoint on the folder's videos."""
    checkpoint = str(folder / "run" / "checkpoints" / "last.ckpt")
    main(command(folder, name, "--ckpt_path", checkpoint, *arguments))
    stage = {"test": "test", "validate": "val"}[name]
    figures = json.loads((folder / "run" / f"{stage}_metrics.json").read_text())
    return {key: value for key, value in figures.items() if key.startswith(stage)}


def turn(folder: Path) -> None:
    """Sort the classes otherwise, and number every list's labels accordingly: the same data set."""
    (folder / "videos" / "classes.txt").write_text("\n".join(TURNED) + "\n")
    for split in ("train", "val", "test"):
        table = pd.read_csv(folder / "videos" / f"{split}.csv")
        table["label"] = [TURNED.index(CLASS_NAMES[label]) for label in table["label"]]
        table.to_csv(folder / "videos" / f"{split}.csv", index=False)


@pytest.mark.parametrize("name", ["test", "validate"])
def test_classes_in_another_order_are_matched_by_name(folder, capsys, name):
    before = figures_of(folder, name)
    table = (folder / "run" / "predictions.csv").read_text() if name == "test" else None
    turn(folder)
    capsys.readouterr()
    assert figures_of(folder, name) == before
    said = capsys.readouterr().err
    assert said.count("lists the classes in another order than") == 1
    if table is not None:
        assert (folder / "run" / "predictions.csv").read_text() == table


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["one", "two", "four"], "only in the data 'four', only in the checkpoint 'three'"),
        (["one", "two", "three", "four"], "has 4 classes, and"),
        (["one", "two"], "none only in the data, only in the checkpoint 'three'"),
    ],
)
@pytest.mark.parametrize("name", ["test", "validate", "fit"])
def test_other_classes_are_refused(folder, refused, name, names, said):
    (folder / "videos" / "classes.txt").write_text("\n".join(names) + "\n")
    checkpoint = folder / "run" / "checkpoints" / "last.ckpt"
    assert said in refused(command(folder, name, "--ckpt_path", str(checkpoint)))


def test_a_resumed_run_keeps_its_classes_and_matches_labels_by_name(trained, folder, tmp_path_factory):
    """It ends with the weights of the run on the data set as it was."""
    same = tmp_path_factory.mktemp("same")
    shutil.copytree(trained, same, dirs_exist_ok=True)
    turn(folder)
    ends = []
    for one in (same, folder):
        main(command(one, "fit", "--resume", "auto", "--trainer.max_epochs", "2"))
        ends.append(torch.load(one / "run" / "checkpoints" / "last.ckpt", weights_only=True))
    assert ends[1]["hyper_parameters"]["class_names"] == CLASS_NAMES
    assert all(
        torch.equal(ends[0]["state_dict"][key], tensor) for key, tensor in ends[1]["state_dict"].items()
    )


def test_numbered_classes_are_taken_by_number(folder):
    before = figures_of(folder)
    (folder / "videos" / "classes.txt").unlink()
    assert figures_of(folder, "test", "--data.num_classes", "3") == before


def test_a_test_list_is_enough_for_a_test(folder):
    before = figures_of(folder)
    for file in ("classes.txt", "train.csv", "val.csv"):
        (folder / "videos" / file).unlink()
    assert figures_of(folder) == before
    assert set(pd.read_csv(folder / "run" / "predictions.csv")["label"]) == set(CLASS_NAMES)


def test_weights_with_the_same_classes_in_another_order_are_refused(folder, refused, capsys):
    turn(folder)
    weights = ("--model.weights.path", str(folder / "run" / "checkpoints" / "last.ckpt"))
    fit = command(folder, "fit", *weights, "--run_dir", str(folder / "second"))
    assert "class 0 is 'one' there and 'three' here" in refused(fit)
    (folder / "videos" / "classes.txt").write_text("a\nb\nc\n")
    capsys.readouterr()
    main([*fit, "--run_dir", str(folder / "fourth")])
    assert "its head is taken over as it is, for classes of other names" in capsys.readouterr().err


def test_a_test_of_weights_compares_the_classes_too(folder, refused):
    turn(folder)
    weights = ("--model.weights.path", str(folder / "run" / "checkpoints" / "last.ckpt"))
    assert "class 0 is 'one' there" in refused(command(folder, "test", *weights))


def test_named_classes_for_a_network_of_numbers_keep_their_names():
    numbering = match(["run", "jump"], Trained(["0", "1"], Path("x.ckpt")), source="classes.txt")
    assert numbering.names == ["run", "jump"]
    assert numbering.output is None
