"""The real command on real encoded videos: what a newcomer and a researcher would type."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from gcvideo.cli import main
from gcvideo.data.synthetic import write_synthetic

CONFIGS = Path(__file__).parents[2] / "configs"
STACK = [
    *("--config", str(CONFIGS / "base.yaml")),
    *("--config", str(CONFIGS / "data" / "synthetic.yaml")),
    *("--config", str(CONFIGS / "paper" / "slow_r50_gc_all.yaml")),
    *("--model.network.init_args.width", "0.0625"),
    *("--trainer.accelerator", "cpu"),
    *("--trainer.logger", "false"),
    *("--trainer.enable_progress_bar", "false"),
    *("--data.num_workers", "0"),
    *("--data.batch_size", "4"),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "videos"
    write_synthetic(root, num_train_per_class=1, num_val_per_class=1, num_test_per_class=1, num_frames=12)
    return root


@pytest.fixture(scope="module")
def run_dir(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one short epoch."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    main(["fit", *STACK, "--data.root", str(dataset), "--run_dir", str(folder), "--trainer.max_epochs", "1"])
    return folder


def test_training_leaves_its_config_and_checkpoints_in_the_run_folder(run_dir: Path) -> None:
    assert (run_dir / "config.yaml").is_file()
    assert {file.name for file in (run_dir / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_a_test_needs_only_the_runs_config_and_checkpoint(run_dir: Path, dataset: Path) -> None:
    checkpoint = run_dir / "checkpoints" / "last.ckpt"
    main(["test", "--config", str(run_dir / "config.yaml"), "--ckpt_path", str(checkpoint)])
    table = pd.read_csv(run_dir / "predictions.csv")
    assert list(table["video"]) == sorted(pd.read_csv(dataset / "test.csv")["path"])
    metrics = json.loads((run_dir / "test_metrics.json").read_text())
    assert metrics["test/top1"] == pytest.approx((table["label"] == table["prediction"]).mean())


def test_validation_is_deterministic(run_dir: Path) -> None:
    arguments = ["validate", "--config", str(run_dir / "config.yaml")]
    arguments += ["--ckpt_path", str(run_dir / "checkpoints" / "last.ckpt")]
    main(arguments)
    first = json.loads((run_dir / "val_metrics.json").read_text())
    main(arguments)
    assert json.loads((run_dir / "val_metrics.json").read_text()) == first


@pytest.mark.slow
def test_training_may_be_compiled(dataset: Path, tmp_path: Path) -> None:
    """In a process of its own: functions whose shapes are checked, as in tests, are not traced."""
    command = [
        sys.executable,
        "-c",
        "from gcvideo.cli import main; main()",
        "fit",
        *STACK,
        "--data.root",
        str(dataset),
    ]
    command += ["--run_dir", str(tmp_path / "run"), "--trainer.max_epochs", "1"]
    command += ["--trainer.callbacks+=gcvideo.training.CompileNetwork"]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "compiled the network in" in said.stderr


def test_a_run_folder_is_never_used_twice(run_dir: Path, dataset: Path, refused: Callable[..., str]) -> None:
    said = refused(["fit", *STACK, "--data.root", str(dataset), "--run_dir", str(run_dir)])
    assert "holds a run already" in said
    assert "--resume auto" in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--model.network.init_args.depth", "51"], 1, "depth is 51; expected one of 18, 34, 50, 101, 152"),
        (
            ["--model.network.init_args.placement.res4", "[6]"],
            1,
            "placement.res4 names block 6, but res4 has blocks 0..5",
        ),
        (["--model.learning_rat", "1"], 2, "model.learning_rat"),
        (["--data.clip.num_frames", "eight"], 2, "data.clip.num_frames"),
        (["--data.root", "missing"], 1, "missing/train.csv: no such file"),
        (["--trainer.max_epochs", "-1"], 1, "trainer.max_epochs is -1"),
        (["--trainer.devices", "0"], 1, "(devices='0')` value is not a valid input using cpu accelerator"),
    ],
)
def test_a_wrong_argument_ends_in_one_line(
    arguments: list[str],
    code: int,
    said: str,
    dataset: Path,
    tmp_path: Path,
    refused: Callable[..., str],
) -> None:
    command = ["fit", *STACK, "--data.root", str(dataset), "--run_dir", str(tmp_path / "run")]
    assert said in refused([*command, *arguments], code=code)


def test_a_key_that_does_not_exist_is_named(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "wrong.yaml").write_text("model:\n  lerning_rate: 1\n")
    assert "model.lerning_rate" in refused(["fit", *STACK, "--config", str(tmp_path / "wrong.yaml")], code=2)


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("path,label\ntrain/gone.mp4,0\n", "gone.mp4"),
        ("path,label\ntrain/noise.mp4,0\n", "noise.mp4"),
        ("path,label\ntrain/noise.mp4,8\n", "train.csv:2: label 8 is out of range; expected 0..7"),
        ("path,label\ntrain/noise.mp4,up\n", "train.csv:2: label 'up' is not an integer"),
        ("path,label\n", "train.csv: lists no video"),
        ("", "train.csv: lists no video"),
    ],
)
def test_bad_training_data_ends_in_one_line(
    rows: str, said: str, num_workers: int, dataset: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(dataset, root)
    (root / "train" / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    (root / "train.csv").write_text(rows)
    command = ["fit", *STACK, "--data.root", str(root), "--run_dir", str(tmp_path / "run")]
    command += ["--data.batch_size", "1", "--data.num_workers", str(num_workers)]
    assert said in refused([*command, "--trainer.num_sanity_val_steps", "0"])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            "path,label\nvall/x.mp4,0\nvall/y.mp4,1\n",
            "val.csv: 2 of 2 videos are not there: 'vall/x.mp4', 'va",
        ),
        (
            "path,start,end,label\nval/x.mp4,3,3,1\n",
            "val.csv:2: segment t=3,3 is empty; expected an end behind the start",
        ),
        (
            "val/x.mp4,0\nval/y.mp4,0,3\n",
            "val.csv:2: 'val/y.mp4,0,3' has 3 cells; expected 2; ",
        ),
    ],
)
def test_a_validation_list_is_looked_at_before_training(
    rows: str, said: str, dataset: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    (tmp_path / "val.csv").write_text(rows)
    command = ["fit", *STACK, "--data.root", str(dataset), "--run_dir", str(tmp_path / "run")]
    command += ["--data.val", str(tmp_path / "val.csv"), "--trainer.num_sanity_val_steps", "0"]
    assert said in refused(command)
    assert not (tmp_path / "run/checkpoints").exists()
