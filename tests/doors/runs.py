"""Small runs of the real command, for tests of what is named by class_path."""

from pathlib import Path

CONFIGS = Path(__file__).parents[2] / "configs"


def small_run(root: Path, run_dir: Path, *files: str) -> list[str]:
    """One epoch of two steps on clips of 4 frames of 32 x 32; files and overrides follow."""
    views = "{num_clips: 1, num_crops: 1, short_side: 32, crop_size: 32}"
    return [
        *(f"--config={CONFIGS / file}.yaml" for file in ("base", "data/folder", *files)),
        *("--data.root", str(root), "--run_dir", str(run_dir)),
        *("--data.clip", "{num_frames: 4, stride: 1}"),
        *("--data.train_transform.init_args.crop_size", "32"),
        *("--data.train_transform.init_args.min_short_side", "32"),
        *("--data.train_transform.init_args.max_short_side", "40"),
        *("--data.val_views", views, "--data.test_views", views),
        *("--data.batch_size", "2", "--data.num_workers", "0"),
        *("--trainer.accelerator", "cpu", "--trainer.logger", "false"),
        *("--trainer.enable_progress_bar", "false", "--trainer.max_epochs", "1"),
    ]
