"""A module of the user's own, beside a run that names its classes."""

from pathlib import Path
from typing import Any

import pytest

from gcvideo.cli import main
from tests.data.annotated import write_dataset
from tests.training.runs import last_checkpoint, same_values, write_config


def write_module(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """Write NAME.py where Python finds it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)


def fit(folder: Path, root: Path, *arguments: str, **sections: dict[str, Any]) -> None:
    """Run `gcvideo fit` on the videos of `root`, two epochs of three steps, in folder/run."""
    main(["fit", "--config", str(write_config(folder, root, **sections)), *arguments])


def fit_with_a_stop(folder: Path, root: Path, *arguments: str, **sections: dict[str, Any]) -> None:
    """Run `gcvideo fit` for four steps, within its second epoch, and then go on to the sixth."""
    file = str(write_config(folder, root, **sections))
    main(["fit", "--config", file, *arguments, "--trainer.max_steps", "4"])
    main(["fit", "--config", file, *arguments, "--trainer.max_steps", "6", "--resume", "auto"])


def ends_apart(folder: Path, other: Path) -> list[str]:
    """In what the ends of two runs differ, bit for bit."""
    ends = last_checkpoint(folder), last_checkpoint(other)
    parts = ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step")
    return [part for part in parts if not same_values(*(end[part] for end in ends))]


def dataset(folder: Path) -> Path:
    return write_dataset(folder, train=6, val=2, test=3)
