"""Ranks that were not asked for the same end before the first step, and say in what they differ."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.annotated import write_dataset
from tests.journey.machines import on_machines, other_configuration, other_version, write_machines
from tests.training.runs import fault, write_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_machines(tmp_path_factory.mktemp("machines"))


def other_seed() -> None:
    sys.argv.append("--seed_everything=4")


def other_batch_size() -> None:
    sys.argv.append("--data.batch_size=1")


def other_loader_processes() -> None:
    sys.argv.append("--data.num_workers=1")


def test_every_rank_that_differs_is_named_with_its_values_before_anything_is_written(folder):
    faults = {0: other_loader_processes, 1: other_version, 2: other_configuration, 4: other_seed}
    codes, said = on_machines("fit", folder, ranks=5, faults=faults)
    assert codes == [1] * 5, said
    (line,) = re.findall("^gcvideo fit: ranks differ: (.*)$", said, re.MULTILINE)
    named = dict(re.findall(r"(rank [^:]+): (.*?elsewhere [^;]+)", line))
    assert named.keys() == {"rank 1", "rank 2", "rank 3", "rank 4"}
    assert named["rank 1"].startswith("torch is 1.0, elsewhere ")
    assert named["rank 2"] == "model.learning_rate is 0.2, elsewhere 0.5"
    assert re.fullmatch(r"train list is 10 videos \(\w+\), elsewhere 10 videos \(\w+\)", named["rank 3"])
    assert named["rank 4"] == "seed_everything is 4, elsewhere 3"
    assert "Traceback" not in said
    assert not (folder / "run" / "config.yaml").exists()


def test_another_batch_size_ends_both_ranks_and_does_not_hang(folder):
    codes, said = on_machines("fit", folder, faults={1: other_batch_size})
    assert codes == [1, 1], said
    assert "rank 1: data.batch_size is 1, elsewhere 2; model.batch_size is 1, elsewhere 2; start all" in said


@pytest.mark.slow
def test_ranks_that_would_resume_from_other_checkpoints_are_named(folder):
    shorter = "--trainer.max_epochs=1"
    codes, said = on_machines("fit", folder, "--run_dir=not_shared", shorter)
    assert codes == [0, 0], said
    codes, said = on_machines("fit", folder, "--run_dir=not_shared", "--resume=auto")
    assert codes == [1, 1], said
    assert re.search(r"ranks differ: rank 1: weights is none, elsewhere last.ckpt \(\w+\); start all", said)


def launched_by_lightning(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`gcvideo fit` on two devices, whose second process Lightning starts by the same line."""
    (folder / "command.py").write_text("from gcvideo.cli import main\n\nmain()\n")
    line = [sys.executable, "-P", folder / "command.py", "fit", "--config", folder / "run.yaml"]
    line += ["--trainer.devices=2", "--trainer.max_epochs=1", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        line, capture_output=True, text=True, timeout=200, cwd=folder, env=environment, check=False
    )


@pytest.mark.slow
def test_ranks_that_lightning_starts_are_compared_too_and_share_a_folder_that_none_was_given(tmp_path):
    root = write_dataset(tmp_path / "videos", train=8, val=4, test=2)
    write_config(tmp_path, root, fault("OtherVersion", rank=1))
    refused = launched_by_lightning(tmp_path)
    assert refused.returncode == 1, refused.stderr
    assert re.findall("^gcvideo fit: ranks differ: rank 1: numpy is 1.0", refused.stderr, re.MULTILINE)
    write_config(tmp_path, root)
    done = launched_by_lightning(tmp_path, "--run_dir=null")
    assert done.returncode == 0, done.stderr
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert (run_dir / "checkpoints" / "last.ckpt").is_file()
