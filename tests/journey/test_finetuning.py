"""Fine-tuning beside training from scratch, on the embedded data set through the real commands."""

import json
import statistics
from pathlib import Path

import pytest

from gcvideo.cli import main
from gcvideo.data.synthetic import CLASSES, write_synthetic

CONFIGS = Path(__file__).parents[2] / "configs"
VIEWS = "{num_clips: 1, num_crops: 1, short_side: 32, crop_size: 32}"
SEEDS = (0, 1, 2)
CHANCE = 0.25


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks of four classes each, none of which is in both: moving along the axes, and aslant.

    Aslant has 256 videos to train on, along the axes 64; each has 64 to test on.
    """
    root = tmp_path_factory.mktemp("synthetic")
    counts = {"num_train_per_class": 64, "num_val_per_class": 16, "num_test_per_class": 16}
    write_synthetic(root, **counts, num_frames=16, height=32, width=40)
    tasks = {"axes": range(4), "aslant": range(4, 8)}
    for task, labels in tasks.items():
        (root / f"{task}.txt").write_text("\n".join(CLASSES[label] for label in labels) + "\n")
        for split in ("train", "val", "test"):
            rows = [line.split(",") for line in (root / f"{split}.csv").read_text().splitlines()[1:]]
            chosen = [f"{path},{int(label) - labels[0]}" for path, label in rows if int(label) in labels]
            (root / f"{task}_{split}.csv").write_text("\n".join(["path,label", *chosen]) + "\n")
    return root


def trained(
    root: Path, run_dir: Path, *, task: str, train: str, epochs: int, seed: int, more: list[str]
) -> float:
    """Top-1 on the task's test videos after training on its `train` list."""
    files = [CONFIGS / f"{name}.yaml" for name in ("base", "data/folder", "model/i3d_r50")]
    lists = {"train": f"{task}_{train}", "val": f"{task}_test", "test": f"{task}_test"}
    main(
        [
            "fit",
            *(f"--config={file}" for file in files),
            *(
                "--data.root",
                str(root),
                "--run_dir",
                str(run_dir),
                "--seed_everything",
                str(seed),
                "--data.seed",
                str(seed),
            ),
            *(f"--data.{name}={file}.csv" for name, file in lists.items()),
            *("--data.classes", f"{task}.txt", "--data.batch_size", "16", "--data.num_workers", "0"),
            *("--data.clip", "{num_frames: 8, stride: 2}"),
            *("--data.train_transform.init_args.crop_size", "32"),
            *("--data.train_transform.init_args.min_short_side", "32"),
            *("--data.train_transform.init_args.max_short_side", "36"),
            *("--data.train_transform.init_args.flip_probability", "0"),
            *("--data.val_views", VIEWS, "--data.test_views", VIEWS),
            *("--model.network.init_args.width", "0.125", "--model.network.init_args.dropout", "0"),
            *more,
            *("--model.learning_rate", "0.1", "--model.reference_batch_size", "16"),
            *("--model.lr_schedule", "gcvideo.training.HalfCosine", "--model.lr_schedule.warmup_epochs", "1"),
            *("--trainer.max_epochs", str(epochs), "--trainer.check_val_every_n_epoch", str(epochs)),
            *("--trainer.accelerator", "cpu", "--trainer.logger", "false"),
            *("--trainer.enable_progress_bar", "false"),
        ]
    )
    checkpoint = run_dir / "checkpoints" / "last.ckpt"
    main(["test", "--config", str(run_dir / "config.yaml"), "--ckpt_path", str(checkpoint)])
    return json.loads((run_dir / "test_metrics.json").read_text())["test/top1"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fine_tuning_from_a_checkpoint_of_other_classes_beats_scratch_at_equal_steps(root, tmp_path):
    """16 steps on 64 videos with one learning rate and schedule, over three seeds."""
    source = trained(root, tmp_path / "source", task="aslant", train="train", epochs=12, seed=0, more=[])
    assert source > 0.8
    weights = str(tmp_path / "source" / "checkpoints" / "last.ckpt")
    starts = {
        "scratch": [],
        "tuned": ["--config", str(CONFIGS / "finetune/new_classes.yaml"), "--model.weights.path", weights],
    }
    found = {
        start: [
            trained(
                root, tmp_path / f"{start}{seed}", task="axes", train="val", epochs=4, seed=seed, more=more
            )
            for seed in SEEDS
        ]
        for start, more in starts.items()
    }
    assert min(found["tuned"]) > max(found["scratch"]) + 0.2
    assert statistics.mean(found["tuned"]) > CHANCE + 0.5, found
