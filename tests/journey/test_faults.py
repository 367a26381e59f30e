"""Decoders hang and die under the real command: the run goes on, or says why not."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.data.annotated import write_dataset
from tests.journey.test_two_processes import with_settings

HANGS, DIES, MISSING = "02.mp4", "03.mp4", "nowhere.mp4"
COMMAND = f"""
import ctypes, os, signal
from gcvideo.data import dataset

def open_record(record, *arguments, **settings):
    if record.path.name == "{HANGS}":
        ctypes.CDLL(None).sleep(3600)
    if record.path.name == "{DIES}":
        os.kill(os.getpid(), signal.SIGSEGV)
    return original(record, *arguments, **settings)

original, dataset.open_record = dataset.open_record, open_record
from gcvideo.cli import main
main()
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve training videos, three validation videos and six test videos; of each, some do not come."""
    root = write_dataset(tmp_path_factory.mktemp("data"), train=12, val=3, test=5)
    with (root / "test.csv").open("a") as file:
        file.write(f"{MISSING},1\n")
    return root


def run(root: Path, run_dir: Path, command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    arguments = ["--data.root", str(root), "--run_dir", str(run_dir), "--trainer.max_epochs", "2"]
    arguments = with_settings(command, *arguments, devices=1)
    settings = {"num_workers": "2", "timeout_seconds": "2"} | settings
    arguments += [part for name, value in settings.items() for part in (f"--data.{name}", value)]
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )


def test_a_test_survives_a_hang_a_death_and_a_missing_file(root: Path, tmp_path: Path) -> None:
    done = run(root, tmp_path, "test")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "predictions.csv").set_index("video")
    assert list(table.index) == ["00.mp4", "01.mp4", HANGS, DIES, "04.mp4", MISSING]
    reasons = table["unreadable"].dropna().to_dict()
    assert reasons == {
        HANGS: "decoding took more than 2 s",
        DIES: "the decoder died (SIGSEGV)",
        MISSING: "No such file or directory; expected a video file",
    }
    assert table["prediction"].isna().tolist() == [video in reasons for video in table.index]
    metrics = json.loads((tmp_path / "test_metrics.json").read_text())
    assert (metrics["test/videos"], metrics["test/unreadable"]) == (6, 3)
    right = (table["label"] == table["prediction"]).sum()
    assert metrics["test/top1"] == pytest.approx(right / 3)
    assert metrics["test/top1_unreadable_wrong"] == pytest.approx(right / 6)
    shown = dict(re.findall(r"^  (\S.*?)  +(\d.*)$", done.stdout, re.MULTILINE))
    assert shown["unreadable videos"] == "3"
    assert shown["top-1, those counted as wrong"] == f"{100 * right / 6:.2f} %"
    assert "pyav read 3 files" in done.stderr


@pytest.mark.slow
def test_training_leaves_them_out_and_lists_each_once(root: Path, tmp_path: Path) -> None:
    done = run(root, tmp_path, "fit", on_error="skip", max_unreadable_share="0.2")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "unreadable.csv")
    assert dict(zip(table["path"], table["reason"], strict=True)) == {
        HANGS: "decoding took more than 2 s",
        DIES: "the decoder died (SIGSEGV)",
    }
    assert done.stderr.count(f"{HANGS}: decoding took more than 2 s; left out of training") == 1
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, rf"gcvideo fit: \S+({HANGS}: decoding took more than 2 s|{DIES}: the decoder died \(SIGSEGV\))"),
        (
            {"on_error": "skip"},
            r"gcvideo fit: 1 of 12 training videos cannot be read, more than data\.max",
        ),
        ({"num_workers": "0"}, rf"{HANGS}: decoding took more than 2 s; drop it"),
    ],
    ids=["raise", "above the share", "without workers"],
)
def test_training_stops_with_a_line_that_says_why(
    root: Path, tmp_path: Path, settings: dict[str, str], message: str
) -> None:
    started = time.monotonic()
    done = run(root, tmp_path, "fit", **settings)
    assert done.returncode == 1
    assert re.match(message, done.stderr.strip().splitlines()[-1].removeprefix(f"{root}/")), done.stderr
    assert time.monotonic() - started < 60
