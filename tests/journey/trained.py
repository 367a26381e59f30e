"""The checkpoint of a real run of one step, on three classes of bar-coded videos."""

from pathlib import Path

import torch

from gcvideo.cli import main
from gcvideo.cli.inputs import load
from tests.data.annotated import write_dataset
from tests.parity.weights import with_every_layer_mattering

CONFIGS = Path(__file__).parents[2] / "configs"


def train(folder: Path, *arguments: str, model: str = "paper/slow_r50_gc5") -> Path:
    """Clips of 4 frames at stride 4 and 32 pixels; test with 2 clips x 1 crop."""
    root = write_dataset(folder / "data", train=2, val=2, test=2)
    views = "{num_clips: 2, num_crops: 1, short_side: 32, crop_size: 32}"
    main(
        [
            "fit",
            *(f"--config={CONFIGS / file}.yaml" for file in ("base", "data/folder", model)),
            *("--data.root", str(root), "--run_dir", str(folder / "run")),
            *("--data.clip", "{num_frames: 4, stride: 4}"),
            *("--data.train_transform.init_args.crop_size", "32"),
            *("--data.train_transform.init_args.min_short_side", "32"),
            *("--data.train_transform.init_args.max_short_side", "40"),
            *("--data.val_views", views, "--data.test_views", views),
            *("--data.batch_size", "2", "--data.num_workers", "0"),
            *("--model.network.init_args.width", "0.0625"),
            *("--trainer.accelerator", "cpu", "--trainer.logger", "false"),
            *("--trainer.enable_progress_bar", "false", "--trainer.max_epochs", "1"),
            *arguments,
        ]
    )
    return folder / "run" / "checkpoints" / "last.ckpt"


def write_checkpoint(folder: Path, *, model: str = "paper/slow_r50_gc5") -> Path:
    """Train, and then give the network weights such that every layer matters to the output."""
    path = train(folder, model=model)
    classifier, _ = load(path, device="cpu")
    with_every_layer_mattering(classifier.network)
    saved = torch.load(path, weights_only=True)
    saved["state_dict"] = classifier.state_dict()
    torch.save(saved, path)
    return path
