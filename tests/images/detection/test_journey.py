"""fit, test and predict on COCO's annotations, one after another on what the one before left."""

import json
import signal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from gcvideo.cli import main
from tests.images.detection.coco import evaluated, figures
from tests.images.detection.parts import command, write_shapes
from tests.training.runs import finish, said, start_line


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes") / "data")


class Fitted(NamedTuple):
    """A run, and what it said."""

    run: Path
    said: str

    @property
    def best(self) -> str:
        return str(self.run / "checkpoints" / "best.ckpt")

    def test(self, *more: str) -> dict[str, Any]:
        """The figures of `gcvideo image test`."""
        main(["image", "test", "--config", str(self.run / "config.yaml"), "--ckpt_path", self.best, *more])
        return json.loads((self.run / "test_metrics.json").read_text())


@pytest.fixture(scope="module")
def fitted(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    folder = tmp_path_factory.mktemp("fitted")
    line = command("fit", root, folder / "run", max_epochs="4")
    assert finish(start_line(line, folder=folder)) == [0], said(folder)
    return Fitted(folder / "run", said(folder))


def test_a_run_is_fitted_tested_and_predicts_with_the_same_precision(
    root: Path, fitted: Fitted, tmp_path: Path
) -> None:
    run, logged = fitted.run, fitted.said
    assert "trains on 14 of 16 pictures; left out are 2 without annotations and 0 smaller" in logged
    (line,) = [line for line in logged.splitlines() if line.startswith("next: ")]
    curves = pd.read_csv(run / "metrics" / "metrics.csv")
    losses = ("loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg")
    parts = curves[[f"train/{name}" for name in losses]].dropna()
    assert np.allclose(parts.sum(axis=1), curves["train/loss"].dropna(), rtol=1e-5)
    assert len(parts) == 28

    main(line.removeprefix("next: gcvideo ").split())
    tested = json.loads((run / "test_metrics.json").read_text())
    direct = figures(root / "val.json", run)
    assert {name: tested[f"test/{name}"] for name in direct} == pytest.approx(direct, abs=1e-7)
    assert tested["test/box_ap"] > 0
    assert tested["test/mask_ap"] > 0
    assert tested["test/box_ap"] == pytest.approx(curves["val/box_ap"].max())
    assert tested["protocol"]["pictures"] == 11
    of_classes = pd.read_csv(run / "test_classes.csv")
    precision = evaluated(root / "val.json", run / "results.segm.json", "segm").eval["precision"]
    expected = [k[k > -1].mean() for k in np.moveaxis(precision[..., 0, -1], 2, 0)]
    assert of_classes["mask_ap"].tolist() == pytest.approx(expected)

    out = tmp_path / "out"
    least = ["--model.least_drawn_score", "0.05", "--out", str(out), "--trust", "tests"]
    main(["image", "predict", str(root / "val"), "--ckpt_path", fitted.best, *least])
    assert figures(root / "val.json", out) == direct
    for name in ("bbox", "segm"):
        results = (run / f"results.{name}.json", out / f"results.{name}.json")
        assert results[0].read_bytes() == results[1].read_bytes()
    names = sorted(file.name for file in (root / "val").iterdir())
    assert sorted(file.name for file in (out / "drawn").iterdir()) == names
    changes = [_difference(root / "val" / name, out / "drawn" / name) for name in names]
    assert max(changes) > 20  # what is drawn; JPEG itself changes little
    listing = json.loads((out / "pictures.json").read_text())
    assert [Path(one["file_name"]).name for one in listing["images"]] == names


def test_pictures_that_no_list_has_are_numbered_and_classes_have_the_ids_of_training(
    root: Path, fitted: Fitted, tmp_path: Path
) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    (elsewhere / "deep").mkdir(parents=True)
    for name in ("b.png", "deep/a.bmp"):
        Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(elsewhere / name)
    settings = ["--out", str(out), "--trust", "tests", "--data.root", str(tmp_path / "nowhere")]
    main(["image", "predict", str(elsewhere), "--ckpt_path", fitted.best, *settings])
    listing = json.loads((out / "pictures.json").read_text())
    assert [(one["id"], Path(one["file_name"]).name) for one in listing["images"]] == [
        (1, "b.png"),
        (2, "a.bmp"),
    ]
    assert listing["categories"] == json.loads((root / "train.json").read_text())["categories"]
    with Image.open(out / "drawn" / "deep" / "a.bmp") as drawn:
        assert drawn.size == (50, 40)
    evaluated(out / "pictures.json", out / "results.segm.json", "segm")


@pytest.mark.slow
def test_two_processes_find_the_precision_of_one(fitted: Fitted, tmp_path: Path) -> None:
    alone = fitted.test("--data.test_batch_size", "1")
    results = [fitted.run / f"results.{kind}.json" for kind in ("bbox", "segm")]
    of_one = [file.read_text() for file in results]
    line = ["image", "test", "--config", str(fitted.run / "config.yaml"), "--ckpt_path", fitted.best]
    line += ["--data.test_batch_size", "1"]  # the last bits depend on what else is in a batch
    started = start_line([*line, "--trainer.devices=2"], folder=tmp_path, processes=2)
    assert finish(started) == [0, 0], said(tmp_path)
    assert json.loads((fitted.run / "test_metrics.json").read_text()) == alone
    assert alone["test/box_ap"] > 0
    assert [file.read_text() for file in results] == of_one
    assert {row["image_id"] for row in json.loads(of_one[0])} == set(range(1, 12))


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_as_if_nothing_had_happened(root: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    settings = ("--safeguard.every_steps", "2")
    kill = ("--trainer.callbacks+", "tests.training.faults.Signal", "--trainer.callbacks.number")
    kill += (str(int(signal.SIGKILL)), "--trainer.callbacks.step", "11")
    assert finish(start_line(command("fit", root, whole, *settings), folder=tmp_path)) == [0], said(tmp_path)
    line = command("fit", root, parts, *settings)
    assert finish(start_line([*line, *kill], folder=tmp_path)) == [-signal.SIGKILL], said(tmp_path)
    assert _last_of(parts)["global_step"] == 10  # of 7 an epoch
    assert finish(start_line([*line, "--resume", "auto"], folder=tmp_path)) == [0], said(tmp_path)
    ends = [_last_of(run)["state_dict"] for run in (whole, parts)]
    assert {name for name, tensor in ends[0].items() if not torch.equal(tensor, ends[1][name])} == set()
    assert (whole / "metrics" / "metrics.csv").read_text() == (parts / "metrics" / "metrics.csv").read_text()


def test_a_checkpoint_keeps_its_classes_beside_a_list_of_another_order(
    fitted: Fitted, tmp_path: Path, capsys
) -> None:
    other = write_shapes(tmp_path / "other")
    for split in ("train", "val"):
        file = other / f"{split}.json"
        found = json.loads(file.read_text())
        for entry in found["categories"]:
            entry["id"] = 100 - entry["id"]
        for entry in found["annotations"]:
            entry["category_id"] = 100 - entry["category_id"]
        file.write_text(json.dumps(found))
    same, turned = fitted.test(), fitted.test("--data.root", str(other))
    names = [name for name in same if name.startswith("test/")]
    assert same["test/mask_ap"] > 0
    assert {name: turned[name] for name in names} == {name: same[name] for name in names}
    assert figures(other / "val.json", fitted.run)["box_ap"] == pytest.approx(same["test/box_ap"], abs=1e-7)

    file = other / "val.json"
    file.write_text(file.read_text().replace('"ring"', '"annulus"'))
    with pytest.raises(SystemExit):
        fitted.test("--data.root", str(other))
    assert (
        f"the 6 classes of {fitted.best}: only here are 'annulus', only there 'ring'"
        in capsys.readouterr().err
    )


def _difference(one: Path, other: Path) -> float:
    """The largest difference of two pictures, of 255."""
    pixels = [np.asarray(Image.open(file).convert("RGB"), int) for file in (one, other)]
    return float(np.abs(pixels[0] - pixels[1]).max())


def _last_of(run: Path) -> dict[str, Any]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
