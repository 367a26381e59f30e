"""What a recipe switches on, all of it in one run of two processes that is killed within an epoch."""

from pathlib import Path
from typing import Any

import torch

from gcvideo.backbones.checkpoints import write_state
from tests.data.annotated import write_dataset
from tests.training.networks import TwoLayers
from tests.training.runs import last_checkpoint, same_values
from tests.training.trials import NUM_VIDEOS, PRECISE, Kill, Outcome, try_kill, whole_run

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


def test_two_processes_with_all_of_it_are_killed_and_go_on_as_if_never(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "videos", **NUM_VIDEOS)
    torch.manual_seed(1)
    num_classes = len((root / "classes.txt").read_text().split("\n")) - 1
    write_state(tmp_path / "teacher.pth", TwoLayers(num_classes).state_dict())
    teacher = {
        "teacher": "tests.training.networks.TwoLayers",
        "weights": {"path": str(tmp_path / "teacher.pth")},
    }
    model: dict[str, Any] = {
        "optimizer": {"class_path": "timm.optim.Lamb", "init_args": {"weight_decay": 0.05}},
        "no_weight_decay": "one_dimension",
        "layer_decay": 0.75,
        "scale_learning_rate": "sqrt",
        "lr_schedule": {
            "class_path": "gcvideo.training.CosineAfterWarmup",
            "init_args": {"warmup_steps": 2, "end": 0.1},
        },
        "loss": {"class_path": "gcvideo.training.Distillation", "init_args": teacher},
    }
    averaging = {"class_path": "EMAWeightAveraging", "init_args": {"decay": 0.9}}
    trainer = {"callbacks": [averaging, PRECISE], "gradient_clip_val": 0.5}
    settings = {"model": model, "trainer": trainer, "data": AUGMENTED}
    whole = whole_run(tmp_path / "whole", root, processes=2, **settings)
    killed = try_kill(Kill(4, workers=1, every=2, processes=2), tmp_path / "killed", root, whole, **settings)
    assert killed == Outcome(survived=True, unlike=[])
    ends = [last_checkpoint(tmp_path / name) for name in ("whole", "killed")]
    for part in ("current_model_state", "averaging_state"):
        assert same_values(*(end[part] for end in ends))
    assert not same_values(ends[0]["current_model_state"], ends[0]["state_dict"])
