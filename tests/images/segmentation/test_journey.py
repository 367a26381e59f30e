"""A run on shapes is killed, goes on, is tested and predicts; two processes find what one does."""

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from gcvideo.cli import main
from gcvideo.images.segmentation.pairs import read_mask
from gcvideo.images.synthetic.shapes import CLASSES
from tests.images.segmentation.tiny import command, write_shapes
from tests.training.runs import _be, context, finish, free_port

NAMES = ["background", *CLASSES]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes") / "data")


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody has stopped."""
    run = tmp_path_factory.mktemp("whole") / "run"
    main(command("fit", root, run))
    return run


def in_processes(words: Sequence[str], folder: Path, *, processes: int = 1) -> list[int | None]:
    """The exit codes of a command in processes of its own, which say into the folder's said.RANK."""
    folder.mkdir(parents=True, exist_ok=True)
    shared = {"OMP_NUM_THREADS": "1"}
    if processes > 1:
        shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(processes)}
        shared |= {"LOCAL_WORLD_SIZE": str(processes), "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test"}
    started = []
    for rank in range(processes):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {}
        arguments = (list(words), shared | own, folder / f"said.{rank}")
        started.append(context.Process(target=_be, args=arguments))
        started[-1].start()
    return finish(started)


def last(run: Path) -> dict[str, Any]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.slow
def test_a_run_that_is_killed_within_an_epoch_ends_as_one_that_was_not(
    root: Path, trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    kill = {"number": int(signal.SIGKILL), "step": 9}
    killed = json.dumps([{"class_path": "tests.training.faults.Signal", "init_args": kill}])
    words = command("fit", root, run, "--safeguard.every_steps", "4", "--trainer.callbacks", killed)
    assert in_processes(words, tmp_path) == [-signal.SIGKILL]
    assert last(run)["global_step"] == 8
    main(command("fit", root, run, "--resume", "auto"))

    ends = [last(trained), last(run)]
    assert [end["global_step"] for end in ends] == [12, 12]
    for name, tensor in ends[0]["state_dict"].items():
        assert torch.equal(tensor, ends[1]["state_dict"][name]), name
    curves = [pd.read_csv(run / "metrics" / "metrics.csv") for run in (trained, run)]
    pd.testing.assert_frame_equal(
        *(curve[["step", "train/loss", "val/miou", "val/loss"]] for curve in curves)
    )


def test_a_checkpoint_is_tested_and_predicts_what_the_test_counted(
    root: Path, trained: Path, tmp_path: Path
) -> None:
    best = trained / "checkpoints" / "best.ckpt"
    main(["image", "test", "--config", str(trained / "config.yaml"), "--ckpt_path", str(best)])
    figures = json.loads((trained / "test_metrics.json").read_text())
    assert figures["protocol"]["pictures"] == 9
    assert figures["test/miou"] == pytest.approx(
        pd.read_csv(trained / "metrics" / "metrics.csv")["val/miou"].max(), abs=1e-6
    )
    classes = pd.read_csv(trained / "test_classes.csv")
    assert classes["class"].tolist() == NAMES
    assert torch.load(best, weights_only=True)["hyper_parameters"]["class_names"] == NAMES
    assert classes["iou"].mean() == pytest.approx(figures["test/miou"], abs=1e-6)

    out, pictures = tmp_path / "out", root / "val" / "pictures"
    predict = ["image", "predict", str(pictures), "--ckpt_path", str(best), "--trust", "tests"]
    main([*predict, "--out", str(out)])
    table = pd.read_csv(out / "predictions.csv")
    assert table["picture"].tolist() == [str(file) for file in sorted(pictures.iterdir())]
    confusion = np.zeros((7, 7), int)
    for row in table.itertuples():
        found, target = read_mask(out / row.mask), read_mask(root / "val" / "masks" / Path(row.picture).name)
        counts = target != 255
        np.add.at(confusion, (target[counts], found[counts]), 1)
        with Image.open(out / row.overlay) as overlay, Image.open(row.picture) as picture:
            changed = (np.asarray(overlay) != np.asarray(picture)).any(axis=-1)
        assert not changed[found == 0].any()
        assert changed[found > 0].mean() > 0.9 or not (found > 0).any()
        shares = [table.loc[row.Index, f"share of {name}"] for name in NAMES]
        np.testing.assert_allclose(shares, np.bincount(found.ravel(), minlength=7) / found.size, atol=1e-6)
    assert classes["found_pixels"].tolist() == confusion.sum(axis=0).tolist()
    assert classes["pixels"].tolist() == confusion.sum(axis=1).tolist()


@pytest.mark.slow
def test_two_processes_find_what_one_finds(root: Path, trained: Path, tmp_path: Path) -> None:
    """On nine pictures, five and four of them."""
    best = str(trained / "checkpoints" / "best.ckpt")
    found, classes = [], []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        words = command("test", root, folder / "run", "--ckpt_path", best, devices=str(processes))
        assert in_processes(words, folder, processes=processes) == [0] * processes, (
            folder / "said.0"
        ).read_text()
        found.append(json.loads((folder / "run" / "test_metrics.json").read_text()))
        classes.append((folder / "run" / "test_classes.csv").read_text())
    assert found[0].pop("protocol") == found[1].pop("protocol")
    assert found[1] == pytest.approx(found[0], abs=1e-6)
    assert classes[0] == classes[1]


@pytest.mark.slow
def test_two_processes_train_as_one_does_whatever_counts_in_their_crops(root: Path, tmp_path: Path) -> None:
    """At one global batch of 4 crops, with norms and dropout as in evaluation."""
    ends = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        still = json.dumps([{"class_path": "tests.training.faults.InEvaluation"}])
        settings = ["--trainer.callbacks", still, "--model.learning_rate", "5", "--data.max_scale", "1"]
        numbers = {"devices": str(processes), "batch_size": str(4 // processes), "max_epochs": "1"}
        words = command("fit", root, folder / "run", *settings, **numbers)
        assert in_processes(words, folder, processes=processes) == [0] * processes
        ends.append(last(folder / "run")["state_dict"])
    for name, tensor in ends[0].items():
        torch.testing.assert_close(ends[1][name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_backbones_and_blocks_stack_below_the_head_which_dilates_them(root: Path, capsys) -> None:
    stack = "base+resnet101+gc_r16+segmentation+masks"
    with pytest.raises(SystemExit):
        main(["image", "fit", "--config", stack, "--data.root", str(root), "--print_config"])
    model = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]
    backbone = model["backbone"]["init_args"]
    assert (backbone["depth"], backbone["dilated"], backbone["placement"]["c3"]) == (101, ["c4", "c5"], "all")
    assert model["context"]["init_args"]["reduction_ratio"] == 16


@pytest.mark.parametrize(
    ("spoil", "said"),
    [("mask", "have no mask in"), ("class", "have the label 9; expected 0 to 6, or 255 to")],
)
def test_what_a_training_cannot_use_ends_it_with_one_line_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: str, said: str
) -> None:
    root = write_shapes(tmp_path / "data", num_train=4, num_val=1)
    mask = root / "train" / "masks" / "00000.png"
    if spoil == "mask":
        mask.unlink()
    else:
        Image.fromarray(np.full_like(read_mask(mask), 9)).save(mask)
    with pytest.raises(SystemExit) as ended:
        main(command("fit", root, tmp_path / "run"))
    assert ended.value.code == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("gcvideo image")
    assert said in line
    assert "00000" in line
