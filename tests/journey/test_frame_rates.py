"""A network that learnt at 25 frames a second, and videos of 50: what predict, test and fine-tuning say."""

import shutil
from pathlib import Path

import pytest
import torch

from gcvideo.cli import main
from tests.data.encoding import write_video
from tests.journey.trained import train

SAID = "at 25 frames a second, and {} have 50: a clip, which is counted in frames, shows 0.5 times as long"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and its data once more at twice the rate."""
    folder = tmp_path_factory.mktemp("rates")
    checkpoint = train(folder)
    assert torch.load(checkpoint, weights_only=True)["VideoDataModule"] == {"frame_rate": 25.0}
    shutil.copytree(folder / "data", folder / "fast")
    for name in ("00.mp4", "01.mp4"):
        write_video(folder / "fast" / name, num_frames=30, fps=50)
    return folder


def test_videos_of_another_rate_than_in_training_are_said_before_they_are_predicted(folder, tmp_path, caplog):
    checkpoint = str(folder / "run" / "checkpoints" / "last.ckpt")
    predict = ["predict", "--checkpoint", checkpoint, "--out", str(tmp_path)]
    main([*predict, str(folder / "data" / "00.mp4")])
    assert "frames a second" not in caplog.text
    main([*predict, str(folder / "fast" / "00.mp4")])
    assert caplog.text.count(SAID.format("these videos")) == 1


def test_test_says_it_unless_clips_count_time(folder, caplog):
    run = folder / "run"
    checkpoint = str(run / "checkpoints" / "last.ckpt")
    test = ["test", "--config", str(run / "config.yaml"), "--ckpt_path", checkpoint]
    fast = ["--data.root", str(folder / "fast")]
    main(test)
    main([*test, *fast, "--data.clip.target_fps", "25"])
    assert "frames a second" not in caplog.text
    main([*test, *fast])
    assert caplog.text.count(SAID.format(f"the videos of {folder / 'fast' / 'test.csv'}")) == 1


def test_fine_tuning_says_it_of_its_training_list(folder, tmp_path, caplog):
    checkpoint = str(folder / "run" / "checkpoints" / "last.ckpt")
    fit = ["fit", "--config", str(folder / "run" / "config.yaml"), "--model.weights.path", checkpoint]
    main([*fit, "--data.root", str(folder / "fast"), "--run_dir", str(tmp_path / "run")])
    assert f"last.ckpt was trained with {SAID.format('the videos of')[3:].split(' and ')[0]}" in caplog.text
    assert str(folder / "fast" / "train.csv") in caplog.text
