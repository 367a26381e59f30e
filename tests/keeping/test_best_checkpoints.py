"""Several of the best checkpoints are kept, and best.ckpt is the best of them."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.data.annotated import write_dataset
from tests.training.runs import run, said, write_config
from tests.training.trials import NUM_VIDEOS, Kill, Outcome, try_kill, whole_run

BY_LOSS = {"monitor": "val/loss", "mode": "min", "save_top_k": 2}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "videos", **NUM_VIDEOS)


def kept(folder: Path) -> dict[str, int]:
    """The step of each checkpoint, as it says itself."""
    files = (folder / "run" / "checkpoints").iterdir()
    return {file.name: torch.load(file, weights_only=True)["global_step"] for file in files}


def test_the_best_two_are_kept_whether_the_run_was_killed_or_not_and_their_number_stays(tmp_path, root):
    settings = {"checkpoint": BY_LOSS, "model": {"learning_rate": 30.0}, "trainer": {"max_epochs": 3}}
    whole = whole_run(tmp_path / "whole", root, processes=1, **settings)
    validated = pd.read_csv(whole / "run" / "metrics" / "metrics.csv")[["step", "val/loss"]].dropna()
    first, second = validated.sort_values("val/loss").head(2).itertuples(index=False)
    assert set(validated["step"]) != {first[0], second[0]}
    names = [
        f"epoch={int(step) // 7}-step={int(step) + 1}-loss={loss:.4f}.ckpt" for step, loss in (first, second)
    ]
    assert kept(whole) == {
        "best.ckpt": first[0] + 1,
        names[0]: first[0] + 1,
        names[1]: second[0] + 1,
        "last.ckpt": 21,
    }
    # Killed in the third epoch
    killed = tmp_path / "killed"
    assert try_kill(Kill(17), killed, root, whole, **settings) == Outcome(survived=True, unlike=[])
    assert kept(killed) == kept(whole)
    # Asked for three
    more = write_config(killed, root, **{**settings, "checkpoint": {**BY_LOSS, "save_top_k": 3}})
    assert run(more, "--resume", "auto") == [1]
    assert "checkpoint.save_top_k is 3, and the run was begun with 2" in said(killed)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        (
            {"checkpoint": {"filename": "{epoch}-{val/top1:.2f}"}},
            "checkpoint.filename has {val/top1:.2f}, whose",
        ),
        (
            {
                "checkpoint": BY_LOSS,
                "trainer": {"plugins": [{"class_path": "lightning.pytorch.plugins.AsyncCheckpointIO"}]},
            },
            "trainer.plugins has AsyncCheckpointIO, and several",
        ),
    ],
)
def test_names_and_writers_by_which_best_could_not_be_told_are_refused(tmp_path, root, sections, words):
    assert run(write_config(tmp_path, root, **sections)) == [1]
    assert said(tmp_path).splitlines()[-1].startswith(f"gcvideo fit: {words}")
    assert not (tmp_path / "run" / "checkpoints").exists()
