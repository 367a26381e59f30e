"""What is installed from a wheel, far from any checkout."""

import os
import subprocess
import sys
import tarfile
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
    lists = ("--videos", "data/synthetic/train", "--output", "lists", "--val-fraction", "0.5")
    gcvideo("data", "annotations", "folder", *lists)
    rows = [f"lists/{split}.csv" for split in ("train", "val")]
    gcvideo("data", "transcode", "--root", "data/synthetic/train", "--output", "small", "--lists", *rows)
    verified = [f"small/{row}" for row in rows]
    gcvideo("data", "verify", "--root", "small", "--output", "small", "--lists", *verified)
    gcvideo("data", "stats", "--manifests", "small", "--root", "small", "--output", "small")
    assert len((empty / "small" / "train.csv").read_text().splitlines()) > 1
    assert list((empty / "small").glob("*.html"))
    assert (empty / "runs" / "first" / "report.html").stat().st_size > 10_000
    assert (empty / "launch" / "train_torchrun.sh").read_text() == (
        PROJECT / "scripts/train_torchrun.sh"
    ).read_text()


@pytest.mark.slow
def test_what_would_be_uploaded_passes_twine(tmp_path) -> None:
    pytest.importorskip("twine")
    clone, made = tmp_path / "clone", tmp_path / "made"
    call("git", "clone", "--quiet", str(PROJECT), str(clone), folder=tmp_path)
    build = "from setuptools import build_meta as b; [make(OUT) for make in (b.build_sdist, b.build_wheel)]"
    call(sys.executable, "-c", build.replace("OUT", repr(str(made))), folder=clone)
    files = sorted(map(str, made.iterdir()))
    assert [file.rpartition(".")[2] for file in files] == ["whl", "gz"]
    said = call(sys.executable, "-m", "twine", "check", "--strict", *files, folder=tmp_path)
    assert said.count("PASSED") == 2
    (sdist,) = made.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"gcvideo/configs/base.yaml", "data_prep/verify.py", "data_prep/page/stats.html.j2"} <= names
