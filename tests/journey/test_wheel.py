"""What is installed from a wheel, far from any checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
SPLITS = [
    *("--num_train_per_class", "1", "--num_val_per_class", "1", "--num_test_per_class", "1"),
]
SMALL = [
    *("--model.network.init_args.width", "0.125", "--data.batch_size", "4", "--data.num_workers", "0"),
    *("--data.clip.num_frames", "2", "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2"),
    *(
        "--trainer.limit_val_batches",
        "1",
        "--trainer.limit_test_batches",
        "1",
        "--data.test_views.num_clips",
        "1",
    ),
]


def call(*command: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_the_steps_of_the_quickstart_work_in_an_empty_folder_with_names_of_configurations(tmp_path) -> None:
    pytest.importorskip("setuptools", reason="builds without a network")
    wheels, installed, empty = (tmp_path / name for name in ("wheels", "installed", "empty"))
    empty.mkdir()
    clone = tmp_path / "clone"
    call("git", "clone", "--quiet", str(PROJECT), str(clone), folder=tmp_path)
    call(*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(clone), folder=tmp_path)
    (wheel,) = wheels.glob("gcvideo-*.whl")
    call(*PIP, "install", "--no-deps", "--target", str(installed), str(wheel), folder=tmp_path)

    def gcvideo(*arguments: str) -> str:
        code = "import gcvideo.cli; gcvideo.cli.main()"
        return call(sys.executable, "-c", code, *arguments, folder=empty, PYTHONPATH=str(installed))

    where = "import gcvideo; print(gcvideo.__file__)"
    assert str(installed) in call(sys.executable, "-c", where, folder=empty, PYTHONPATH=str(installed))
    gcvideo("synthetic", "data/synthetic", *SPLITS)
    stack = "base+synthetic+slow_r50_gc_all+recipe/quickstart"
    gcvideo("fit", "--config", stack, "--run_dir", "runs/first", *SMALL)
    gcvideo("test", "--config", "runs/first/config.yaml", "--ckpt_path", "runs/first/checkpoints/last.ckpt")
    gcvideo("complexity", "--config", "slow_r50+gc5", "--out", "cost")
    gcvideo("report", "runs/first")
    gcvideo("configs", "cp", "launch/train_torchrun.sh", ".")
    assert (empty / "runs" / "first" / "report.html").stat().st_size > 10_000
    assert (empty / "launch" / "train_torchrun.sh").read_text() == (
        PROJECT / "scripts/train_torchrun.sh"
    ).read_text()
