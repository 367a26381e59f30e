"""--clip and --size from fit to predict: one key each, and every command reads the same clips."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from gcvideo.cli import main
from gcvideo.cli.inputs import load
from gcvideo.data.synthetic import write_synthetic

STACK = [
    *("fit", "--config", "base+synthetic+slow_r50_gc_all", "--trainer.accelerator", "cpu"),
    *("--model.network.width", "0.0625", "--trainer.logger", "false", "--trainer.enable_progress_bar"),
    *("false", "--data.num_workers", "0", "--data.batch_size", "4", "--data.test_views.num_clips", "1"),
]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "videos"
    write_synthetic(root, num_train_per_class=1, num_val_per_class=1, num_test_per_class=1, num_frames=12)
    return root


@pytest.fixture(scope="module")
def run(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    named = ["--clip", "4x8", "--size", "112", "--data.val_views.short_side", "120"]
    main([*STACK, *named, "--data.root", str(videos), "--run_dir", str(folder), "--trainer.max_epochs", "1"])
    return folder


def test_the_runs_configuration_holds_what_the_two_keys_come_to(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    data = config["data"]
    assert (data["clip"]["num_frames"], data["clip"]["stride"]) == (4, 8)
    crop = data["train_transform"]["init_args"]
    assert (crop["crop_size"], crop["min_short_side"], crop["max_short_side"]) == (112, 128, 160)
    views = {
        name: (data[name]["short_side"], data[name]["crop_size"]) for name in ("val_views", "test_views")
    }
    assert views == {"val_views": (120, 112), "test_views": (128, 128)}  # the argument of its own counts more
    assert "size" not in config
    assert "clip" not in config


def test_test_resume_and_predict_read_the_same_clips(
    run: Path, videos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = str(run / "checkpoints" / "last.ckpt")
    main(["test", "--config", str(run / "config.yaml"), "--ckpt_path", checkpoint])
    protocol = json.loads((run / "test_metrics.json").read_text())["protocol"]
    assert (protocol["views"]["short_side"], protocol["views"]["crop_size"]) == (128, 128)

    out = tmp_path / "out"
    main(["predict", str(videos / "test.csv"), "--checkpoint", checkpoint, "--out", str(out)])
    assert len(pd.read_csv(out / "predictions.csv")) == len(pd.read_csv(run / "predictions.csv"))
    _, data = load(Path(checkpoint), device="cpu")  # as predict does
    assert (data.clip.num_frames, data.clip.stride) == (4, 8)
    assert (data.test_views.short_side, data.test_views.crop_size) == (128, 128)

    with caplog.at_level("WARNING"):
        main(["fit", "--config", str(run / "config.yaml"), "--resume", "auto", "--trainer.max_epochs", "2"])
    changed = [record.getMessage() for record in caplog.records if "have changed" in record.getMessage()]
    assert all("data." not in line for line in changed)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--clip", "8y8"], 1, "clip is '8y8'; expected FRAMESxSTRIDE, as 8x8"),
        (["--clip", "0x8"], 1, "clip is '0x8'"),
        (["--size", "4"], 1, "size is 4; expected pixels, at least 8"),
        (["--size", "large"], 2, "size cannot take 'large'; expected a whole number"),
        (["--sise", "112"], 2, "did you mean size?"),
    ],
)
def test_nonsense_is_refused_by_the_name_of_its_key(
    arguments: list[str], code: int, said: str, videos: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    command = [*STACK, "--data.root", str(videos), "--run_dir", str(tmp_path / "run"), *arguments]
    assert said in refused(command, code=code)
