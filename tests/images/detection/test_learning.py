"""The documented commands learn to find shapes."""

import json
from pathlib import Path

import pytest

from gcvideo.cli import main


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_recipe_finds_shapes_that_it_has_not_seen(tmp_path: Path) -> None:
    root, run = tmp_path / "shapes", tmp_path / "run"
    main(
        [
            *("image", "synthetic", str(root), "--task", "detection"),
            *("--num_train", "300", "--num_val", "60", "--size", "96"),
        ]
    )
    stack = "base+resnet50+gc_r16+shapes_detection"
    on_this = ["--trainer.accelerator", "cpu", "--trainer.devices", "1"]
    main(["image", "fit", "--config", stack, "--data.root", str(root), "--run_dir", str(run), *on_this])
    best = str(run / "checkpoints" / "best.ckpt")
    main(["image", "test", "--config", str(run / "config.yaml"), "--ckpt_path", best])
    figures = json.loads((run / "test_metrics.json").read_text())
    assert figures["test/box_ap"] > 0.08  # boxes at random have 0.00
    assert figures["test/mask_ap"] > 0.05
