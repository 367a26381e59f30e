"""What --print_config says of the learning rate."""

from pathlib import Path

import pytest
import torch
import yaml

from gcvideo.cli import main
from gcvideo.cli.peak import num_devices

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize(
    ("accelerator", "devices", "number"),
    [
        ("cpu", "auto", 1),
        ("auto", "auto", max(torch.cuda.device_count(), 1)),
        ("gpu", 8, 8),
        ("gpu", "4", 4),
        ("gpu", "0,2", 2),
        ("gpu", "3,", 1),
        ("auto", [0, 1, 5], 3),
    ],
)
def test_devices_are_counted_as_lightning_counts_them(accelerator, devices, number):
    assert num_devices(accelerator, devices) == number


def test_a_printed_configuration_begins_with_the_peak_and_is_read_as_before(tmp_path, capsys):
    printed = {}
    for command in ("fit", "test"):
        files = (f"--config={CONFIGS / file}.yaml" for file in ("base", "data/folder", "model/slow_r50"))
        changed = ("--trainer.devices=8", "--trainer.num_nodes=4", "--trainer.accumulate_grad_batches=2")
        rule = ("--model.scale_learning_rate=sqrt", f"--data.root={tmp_path}", "--data.batch_size=4")
        with pytest.raises(SystemExit, match="0"):
            main([command, *files, *changed, *rule, "--print_config"])
        printed[command] = capsys.readouterr().out
    first = printed["fit"].splitlines()[0]
    assert first == (
        "# peak learning rate 0.2 = 0.1 * sqrt(global batch 256 / 64) (4 clips on 32 processes, "
        "2 batches a step)"
    )
    assert yaml.safe_load(printed["fit"])["model"]["scale_learning_rate"] == "sqrt"
    assert "peak" not in printed["test"].splitlines()[0]
