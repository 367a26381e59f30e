"""Training on what data_prep/transcode.py writes, either kind, from videos as downloaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gcvideo.cli import main
from gcvideo.data.synthetic import write_synthetic

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
STACK = [
    *("--config", str(CONFIGS / "base.yaml")),
    *("--config", str(CONFIGS / "data" / "synthetic.yaml")),
    *("--config", str(CONFIGS / "paper" / "slow_r50_gc_all.yaml")),
    *("--config", str(CONFIGS / "recipe" / "quickstart.yaml")),
]
CHANCE = 1 / 8
SPREAD = 0.05
"""Of the accuracy on 96 videos: the embedded set's, between seeds (scripts/README.md)."""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_training_on_either_kind_of_files_reaches_the_same_accuracy(tmp_path: Path) -> None:
    originals = tmp_path / "originals"
    write_synthetic(originals)
    reached = {}
    for kind in ("training", "general"):
        data, run = tmp_path / kind, tmp_path / "runs" / kind
        transcode(originals, data, kind)
        main(["fit", *STACK, "--data.root", str(data), "--run_dir", str(run)])
        main(["test", "--config", str(run / "config.yaml"), "--ckpt_path", f"{run}/checkpoints/last.ckpt"])
        reached[kind] = json.loads((run / "test_metrics.json").read_text())["test/top1"]
    assert min(reached.values()) > 5 * CHANCE, reached
    assert abs(reached["training"] - reached["general"]) <= SPREAD, reached


def transcode(originals: Path, data: Path, kind: str) -> None:
    """Write the videos again, of the size that they have, and take the lists along."""
    command = [sys.executable, str(ROOT / "data_prep" / "transcode.py"), "--for", kind]
    command += ["--stride", "4"] if kind == "training" else []
    command += ["--root", str(originals), "--output", str(data), "--short-side", "72"]
    lists = [originals / f"{split}.csv" for split in ("train", "val", "test")]
    subprocess.run([*command, "--lists", *map(str, lists)], check=True, capture_output=True)
    for file in (*lists, originals / "classes.txt"):
        (data / file.name).write_bytes(file.read_bytes())
