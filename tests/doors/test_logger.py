"""A logger of one's own gets figures, settings and pictures, beside the run's own files."""

import json
import re
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gcvideo.run_folder import RunFolder
from gcvideo.training.pictures import draw_confusion
from tests.data.annotated import CLASS_NAMES, write_dataset
from tests.training.runs import VIEWS, run, said, write_config
from tests.training.trials import NUM_VIDEOS, Kill, Outcome, try_kill, whole_run

PICTURES = {"class_path": "gcvideo.training.LogPictures"}


def test_a_logger_of_ones_own_is_told_all_of_a_run_of_two_processes_which_is_as_without(tmp_path):
    root = write_dataset(tmp_path / "videos", **NUM_VIDEOS)
    plain = whole_run(tmp_path / "plain", root, processes=2, trainer={})
    folder = tmp_path / "killed"
    own = {"class_path": "tests.training.loggers.Notebook", "init_args": {"folder": str(folder / "notes")}}
    trainer = {"logger": own, "callbacks": [PICTURES]}
    outcome = try_kill(Kill(4, processes=2), folder, root, plain, trainer=trainer)
    assert outcome == Outcome(survived=True, unlike=[])  # metrics.csv too
    assert [*(folder / "run").glob("events.*")]
    # Settings and figures
    notes = [json.loads(line) for line in (folder / "notes" / "notes.jsonl").read_text().splitlines()]
    settings = {key: value for note in notes for key, value in note.get("settings", {}).items()}
    assert settings["trainer"]["max_epochs"] == 2
    assert settings["learning_rate"] == 0.5
    assert "logger" not in settings["trainer"]
    logged = {
        note["step"]: note["metrics"]["val/loss"] for note in notes if "val/loss" in note.get("metrics", {})
    }
    table = pd.read_csv(folder / "run" / "metrics" / "metrics.csv")[["step", "val/loss"]].dropna()
    assert logged == pytest.approx(dict(table.itertuples(index=False)))
    # The newest pictures are in the run's folder
    for name, steps in {"training_clips": [0, 3], "confusion": [3, 6]}.items():
        pictures = {step: np.load(folder / "notes" / f"{name}-{step}.npy") for step in steps}
        assert (np.asarray(Image.open(RunFolder(folder / "run").picture(name))) == pictures[steps[-1]]).all()
    assert (pictures[3] != 255).any()
    # The confusion matrix is that of the videos, each once, whichever process has read it
    tested = write_config(tmp_path / "tested", root, data={"test": "val.csv", "test_views": VIEWS})
    newest = folder / "run" / "checkpoints" / "last.ckpt"
    assert run(tested, "--ckpt_path", str(newest), command="test") == [0], said(tmp_path / "tested")
    rows = pd.read_csv(tmp_path / "tested" / "run" / "predictions.csv")
    counts = pd.crosstab(rows["label"], rows["prediction"]).reindex(
        index=CLASS_NAMES, columns=CLASS_NAMES, fill_value=0
    )
    shares = counts.div(counts.sum(axis=1), axis=0).to_numpy(dtype=np.float32)
    assert (draw_confusion(shares, CLASS_NAMES) == pictures[6]).all()


def test_a_confusion_stands_in_the_row_of_its_label_and_the_column_of_its_prediction():
    nothing = draw_confusion(np.zeros((3, 3), np.float32), CLASS_NAMES)

    def place(shares: np.ndarray) -> tuple[list[int], list[int]]:
        rows, columns = (draw_confusion(shares, CLASS_NAMES) != nothing).any(2).nonzero()
        return [rows.min(), rows.max()], [columns.min(), columns.max()]

    (top, bottom), (left, right) = place(np.ones((3, 3), np.float32))
    one = np.zeros((3, 3), np.float32)
    one[0, 2] = 0.01
    rows, columns = place(one)
    assert rows == pytest.approx([top, top + (bottom - top) / 3], abs=2)
    assert columns == pytest.approx([right - (right - left) / 3, right], abs=2)


def test_pictures_of_what_returns_or_draws_none_are_refused(tmp_path):
    root = write_dataset(tmp_path / "videos", train=4, val=2, test=1)
    config = write_config(tmp_path, root, trainer={"callbacks": [PICTURES], "num_sanity_val_steps": 1})
    assert run(config, "--model", "tests.training.loggers.Silent") == [1]
    assert "and that of Silent returns NoneType; return them" in said(tmp_path).splitlines()[-1]


@pytest.mark.parametrize(("logger", "package"), [("WandbLogger", "wandb"), ("MLFlowLogger", "mlflow")])
def test_a_logger_whose_package_is_not_installed_names_the_command_that_installs_it(
    tmp_path, logger, package
):
    if find_spec(package):
        pytest.skip(f"{package} is installed")
    root = write_dataset(tmp_path / "videos", train=2, val=1, test=1)
    assert run(write_config(tmp_path, root, trainer={"logger": {"class_path": logger}})) == [1]
    assert re.search(f"{logger}: .*pip install (-U )?'?{package}", said(tmp_path).splitlines()[-1])
    assert not (tmp_path / "run").exists()
