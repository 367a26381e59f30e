"""Two processes on one machine: nothing is read twice, nothing is left out, nobody waits for ever."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from gcvideo.cli import main
from tests.data.annotated import write_dataset

NETWORK = "--model.network.init_args"
VIEWS = "short_side: 32, crop_size: 32}"
SETTINGS = {
    "--data.clip": "{num_frames: 2, stride: 2}",
    "--data.train_transform": "gcvideo.data.ScaleJitter",
    "--data.train_transform.init_args.crop_size": "32",
    "--data.train_transform.init_args.min_short_side": "32",
    "--data.train_transform.init_args.max_short_side": "40",
    "--data.val_views": "{num_clips: 1, num_crops: 1, " + VIEWS,
    "--data.test_views": "{num_clips: 2, num_crops: 3, " + VIEWS,
    "--data.batch_size": "2",
    "--data.num_workers": "0",
    "--model.network": "gcvideo.backbones.VideoResNet",
    f"{NETWORK}.width": "0.0625",
    "--trainer.accelerator": "cpu",
    "--trainer.logger": "false",
    "--trainer.enable_progress_bar": "false",
}


def with_settings(*arguments: str, devices: int) -> list[str]:
    settings = SETTINGS | {"--trainer.devices": str(devices)}
    return [*arguments, *(part for setting in settings.items() for part in setting)]


def run_in_two_processes(*arguments: str) -> str:
    """What the processes of one command say."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    launcher += ["--no-python"]
    command = [sys.executable, "-c", "from gcvideo.cli import main; main()"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launcher, *command, *with_settings(*arguments, devices=2)],
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@pytest.mark.slow
def test_two_processes_train_and_test_as_one(tmp_path: Path) -> None:
    # 5 validation videos for 2 processes in batches of 2: one process has a batch more than the other.
    root = write_dataset(tmp_path / "data", train=9, val=5, test=3)
    run_dir = tmp_path / "run"
    common = ["--data.root", str(root), "--run_dir", str(run_dir)]
    said = run_in_two_processes(
        "fit",
        *common,
        *("--trainer.max_epochs", "2"),
        *("--trainer.callbacks+", "gcvideo.training.PreciseBatchNorm"),
    )
    assert re.findall(r"peak learning rate .* global batch (\d+)", said) == ["4"]
    assert said.count("2 training batches on each of 2 processes") == 2
    assert "warning:" not in said

    test = ["test", *common, "--ckpt_path", str(run_dir / "checkpoints" / "last.ckpt")]
    run_in_two_processes(*test)
    table, metrics = results_in(run_dir)
    assert table["video"].tolist() == ["00.mp4", "01.mp4", "02.mp4"]
    main(with_settings(*test, devices=1))
    table_of_one, metrics_of_one = results_in(run_dir)
    pd.testing.assert_frame_equal(table, table_of_one, atol=2e-6, rtol=1e-4)
    assert metrics.pop("protocol") == metrics_of_one.pop("protocol")
    assert metrics == pytest.approx(metrics_of_one, rel=1e-4)


def results_in(run_dir: Path) -> tuple[pd.DataFrame, dict]:
    return pd.read_csv(run_dir / "predictions.csv"), json.loads((run_dir / "test_metrics.json").read_text())
