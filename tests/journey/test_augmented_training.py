"""Augmented training through the real command."""

import pytest

from tests.data.annotated import write_dataset
from tests.training.trials import NUM_VIDEOS, Kill, Outcome, try_kill, whole_run

AUGMENTED = {
    "augment": [
        {"class_path": "torchvision.transforms.v2.RandAugment", "init_args": {"num_ops": 1}},
        {"class_path": "gcvideo.data.TimmRandAugment"},
        {"class_path": "torchvision.transforms.v2.AugMix"},
        {"class_path": "gcvideo.data.TimeReversal"},
        {"class_path": "gcvideo.data.FrameDropping"},
    ],
    "device_augment": [
        {"class_path": "torchvision.transforms.v2.ColorJitter", "init_args": {"brightness": 0.4, "hue": 0.1}}
    ],
    "random_erasing": {"probability": 0.5},
    "repeats": 2,
    "repeats_share": "video",
    "blend": {"probability": 0.8},
    "train_sampler": {
        "class_path": "gcvideo.data.RandomStrideClip",
        "init_args": {"min_stride": 1, "max_stride": 3},
    },
}


@pytest.mark.slow
def test_a_killed_run_of_two_processes_with_augmentation_ends_as_one_never_stopped(tmp_path):
    root = write_dataset(tmp_path / "videos", **NUM_VIDEOS)
    whole = whole_run(tmp_path / "whole", root, processes=2, data=AUGMENTED)
    kill = Kill(4, workers=1, processes=2)  # within the second epoch
    assert try_kill(kill, tmp_path / "killed", root, whole, data=AUGMENTED) == Outcome(True, [])
