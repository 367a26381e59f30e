"""Files from strangers say what they say, and run nothing."""

import os
from pathlib import Path

import pytest
import torch
import yaml

from gcvideo.cli import main
from tests.data.annotated import write_dataset
from tests.journey.test_two_processes import with_settings


class Touch:
    """When a pickle of it is loaded as pickles are, a file appears."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.mknod, (str(self.file),)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """The file that is there once foreign code has run."""
    return tmp_path / "trace"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", train=2, val=1, test=1)


@pytest.mark.parametrize("command", ["fit", "validate", "test"])
@pytest.mark.parametrize("tag", ["apply:os.mknod [{}]", "new:os.mknod {{args: [{}]}}"])
def test_a_config_runs_no_code(
    command: str, tag: str, trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"data:\n  root: !!python/object/{tag.format(trace)}\n")
    yaml.unsafe_load(config.read_text())
    trace.unlink()  # it would have run
    with pytest.raises(SystemExit):
        main([command, "--config", str(config)])
    assert "could not determine a constructor for the tag" in capsys.readouterr().err
    assert not trace.exists()


@pytest.mark.parametrize("command", ["fit", "test"])
def test_a_checkpoint_runs_no_code(
    command: str, trace: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "foreign.ckpt"
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2.6.6", "x": Touch(trace)}, checkpoint)
    torch.load(checkpoint, weights_only=False)
    trace.unlink()  # it would have run
    arguments = [command, "--data.root", str(root), "--run_dir", str(tmp_path / "run")]
    with pytest.raises(SystemExit):
        main(with_settings(*arguments, "--ckpt_path", str(checkpoint), devices=1))
    assert "names code that loading it would run; nothing was loaded" in capsys.readouterr().err
    assert not trace.exists()
