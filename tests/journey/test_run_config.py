"""A run's own config.yaml, as every command that takes --config reads it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from gcvideo.cli import main
from tests.journey.trained import write_checkpoint

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was validated and tested."""
    checkpoint = write_checkpoint(tmp_path_factory.mktemp("config"))
    run_dir = checkpoint.parents[1]
    shutil.copy(run_dir / "config.yaml", run_dir / "first.yaml")
    for command in ("validate", "test"):
        main([command, "--config", str(run_dir / "config.yaml"), "--ckpt_path", str(checkpoint)])
    return run_dir


COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "complexity": lambda config, out: ["complexity", "--config", str(config), "--out", str(out)],
    "attention": lambda config, out: [
        *("attention", "--config", str(config), "--num_videos", "1", "--maps", "0", "--out", str(out)),
    ],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_fit_validate_and_test_write_is_read(command: str, run_dir: Path, tmp_path: Path) -> None:
    for config in sorted(run_dir.glob("*config.yaml")):
        main(COMMANDS[command](config, tmp_path))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("writer", ["fit", "validate", "test"])
def test_what_any_option_of_a_run_writes_is_read(
    writer: str, command: str, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As --print_config lists them: ckpt_path, weights_only, verbose, resume and what may come."""
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main([writer, "--config", str(run_dir / "first.yaml"), "--print_config"])
    written = tmp_path / "written.yaml"
    written.write_text(capsys.readouterr().out)
    options = set(yaml.safe_load(written.read_text()))
    assert {"seed_everything", "trainer", "run_dir", "checkpoint", "ckpt_path", "weights_only"} <= options
    main(COMMANDS[command](written, tmp_path / "out"))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_key_that_no_command_knows_is_refused(
    command: str, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong.yaml").write_text("modle:\n  channels_last: false\n")
    arguments = COMMANDS[command](run_dir / "config.yaml", tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--config", str(tmp_path / "wrong.yaml")])
    assert "modle" in capsys.readouterr().err


def test_the_complexity_of_a_run_is_that_of_its_classes_clips_and_views(
    run_dir: Path, tmp_path: Path
) -> None:
    main(["complexity", "--config", str(run_dir / "config.yaml"), "--out", str(tmp_path / "run")])
    files = ("base", "data/folder", "model/slow_r50", "block/gc5")
    stack = [f"--config={CONFIGS / file}.yaml" for file in files]
    width = ["--model.network.init_args.width", "0.0625"]
    size = ["--num_classes=3", "--num_frames=4", "--crop_size=32", "--num_views=2"]
    main(["complexity", *stack, *width, *size, "--out", str(tmp_path / "stack")])
    run, stack = (pd.read_csv(tmp_path / name / "complexity.csv").iloc[0] for name in ("run", "stack"))
    assert run["network"] == "run"
    same = ["params_M", "GFLOPs_per_view", "views_per_video", "GFLOPs_per_video"]
    assert run[same].tolist() == stack[same].tolist()
    assert (
        "A view is 4 x 32 x 32, and the head has 3 classes"
        in (tmp_path / "run" / "complexity.md").read_text()
    )
