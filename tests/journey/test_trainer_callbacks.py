"""Every callback of Lightning's does what it says, or is refused in one line that names it."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import callbacks

from tests.data.annotated import write_dataset
from tests.journey.switches import (
    BATCHES,
    LOSS_IS_ENOUGH,
    Refused,
    Works,
    assert_it_is_refused,
    assert_it_works,
    cases,
)
from tests.training.runs import last_checkpoint, run, said, write_config
from tests.training.trials import NUM_VIDEOS, PRECISE, Kill, Outcome, try_kill, whole_run


def named(name: str, **settings: Any) -> list[dict[str, Any]]:
    return [{"class_path": name, "init_args": settings}]


EMA = named("EMAWeightAveraging", decay=0.9)
BASE_CLASSES = {"BaseFinetuning", "BasePredictionWriter", "Callback", "Checkpoint", "ProgressBar"}
SWITCHED_ON = {"enable_progress_bar": True}

CALLBACKS: dict[str, list[Works | Refused]] = {
    "BackboneFinetuning": [
        Refused(named("BackboneFinetuning"), "gcvideo.training.FreezeStages freezes stages")
    ],
    "BatchSizeFinder": [
        Refused(named("BatchSizeFinder"), "trainer.callbacks has BatchSizeFinder, which no run")
    ],
    "DeviceStatsMonitor": [
        Works(named("DeviceStatsMonitor"), lambda run: run.facts["steps"] == 2 * BATCHES)
        if find_spec("psutil")
        else Refused(named("DeviceStatsMonitor"), "`DeviceStatsMonitor` cannot log CPU stats as `psutil`")
    ],
    "EarlyStopping": [
        Works(
            [LOSS_IS_ENOUGH],
            lambda run: (
                run.validated_after == [BATCHES]
                and "step 3 of 6, by EarlyStopping: val/loss has reached 100" in run.said
            ),
        ),
        Refused(
            named("EarlyStopping", monitor="val/loss", check_on_train_epoch_end=True),
            "EarlyStopping looks at val/loss after every epoch",
            {"check_val_every_n_epoch": 2},
        ),
    ],
    "EMAWeightAveraging": [
        Works(EMA, lambda run: "current_model_state" in last_checkpoint(run.folder)),
    ],
    "GradientAccumulationScheduler": [
        Refused(
            named("GradientAccumulationScheduler", scheduling={0: 1, 1: 3}),
            "set trainer.accumulate_grad_batches",
        )
    ],
    "LambdaCallback": [Works(named("LambdaCallback"), lambda run: run.facts["steps"] == 2 * BATCHES)],
    "LearningRateFinder": [
        Refused(named("LearningRateFinder"), "trainer.callbacks has LearningRateFinder, which")
    ],
    "LearningRateMonitor": [
        Works(
            named("LearningRateMonitor", logging_interval="epoch"),
            lambda run: len(run.logged("lr-SGD/pg1")) == 2,
        )
    ],
    "ModelCheckpoint": [
        Works(
            named("ModelCheckpoint", save_top_k=-1),
            lambda run: {f"checkpoints/epoch={e}-step={3 * e + 3}.ckpt" for e in (0, 1)} < run.files,
        ),
    ],
    "ModelPruning": [
        Refused(
            named("ModelPruning", pruning_fn="l1_unstructured"),
            "trainer.callbacks has ModelPruning, which no",
        )
    ],
    "ModelSummary": [
        Works(named("ModelSummary", max_depth=2), lambda run: "network.second_norm" in run.said)
    ],
    "OnExceptionCheckpoint": [
        Refused(
            named("OnExceptionCheckpoint", dirpath="."), "trainer.callbacks has OnExceptionCheckpoint, which"
        )
    ],
    "RichModelSummary": [Works(named("RichModelSummary"), lambda run: "Total params" in run.said)],
    "RichProgressBar": [
        Works(named("RichProgressBar"), lambda run: run.facts["bar"] == "RichProgressBar", SWITCHED_ON),
        Refused(named("RichProgressBar"), "`enable_progress_bar=False` but found `RichProgressBar`"),
    ],
    "SpikeDetection": [Works(named("SpikeDetection"), lambda run: run.facts["steps"] == 2 * BATCHES)],
    "StochasticWeightAveraging": [
        Refused(
            named("StochasticWeightAveraging", swa_lrs=0.1),
            "WeightAveraging and EMAWeightAveraging average too",
        )
    ],
    "ThroughputMonitor": [Refused(named("ThroughputMonitor"), "batch_size_fn")],
    "Timer": [
        Works(
            named("Timer", duration="00:00:00:01"),
            lambda run: 0 < run.facts["steps"] < 9_000 * BATCHES,
            {"max_epochs": 9_000},
        )
    ],
    "TQDMProgressBar": [
        Works(named("TQDMProgressBar"), lambda run: run.facts["bar"] == "TQDMProgressBar", SWITCHED_ON)
    ],
    "WeightAveraging": [
        Works(named("WeightAveraging"), lambda run: "averaging_state" in last_checkpoint(run.folder))
    ],
}
"""A new callback of Lightning's fails the first test below until it is decided here what becomes of it."""
OURS: dict[str, list[Works | Refused]] = {
    "Safeguard": [
        Refused(
            named("gcvideo.keeping.Safeguard"),
            "trainer.callbacks names gcvideo.keeping.Safeguard, which is no Callback",
        )
    ],
    "ExactResume": [
        Refused(named("gcvideo.keeping.ExactResume"), "trainer.callbacks has ExactResume, which")
    ],
    "LogPictures": [
        Works(
            named("gcvideo.training.LogPictures"),
            lambda run: {"pictures/confusion.png", "pictures/training_clips.png"} <= run.files,
        ),
        Refused(named("gcvideo.training.LogPictures", every_n_epochs=0), "every_n_epochs is 0; expected at"),
    ],
    "PreciseBatchNorm": [
        Works([*EMA, PRECISE], lambda run: run.facts["steps"] == 2 * BATCHES),
        Works(
            [PRECISE, *EMA, PRECISE], lambda run: run.facts["steps"] == 2 * BATCHES
        ),  # as stacked files may
    ],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "videos", train=7, val=4, test=3)


def test_it_is_decided_what_becomes_of_every_callback():
    assert set(CALLBACKS) | BASE_CLASSES == set(callbacks.__all__)


@pytest.mark.parametrize(("name", "case"), cases(CALLBACKS | OURS, Works))
def test_a_callback_does_what_it_says(tmp_path, root, name, case):
    assert_it_works(tmp_path, root, "callbacks", case)


@pytest.mark.parametrize(("name", "case"), cases(CALLBACKS | OURS, Refused))
def test_a_callback_is_refused_in_one_line(tmp_path, root, name, case):
    assert_it_is_refused(tmp_path, root, "callbacks", case)


@pytest.mark.parametrize(
    ("name", "monitored"), [("EarlyStopping", "val_loss"), ("ModelCheckpoint", "val/top-1")]
)
def test_a_metric_that_nothing_logs_is_refused_before_training(tmp_path, root, name, monitored):
    config = write_config(tmp_path, root)
    settings = yaml.safe_load(config.read_text())
    settings["trainer"]["callbacks"] = named(name, monitor=monitored)  # none that may log more
    config.write_text(yaml.safe_dump(settings))
    assert run(config) == [1]
    expected = (
        f"gcvideo fit: {name} monitors {monitored}, which is not logged; expected one of train/loss, val"
    )
    assert said(tmp_path).splitlines()[-1].startswith(expected)
    assert not (tmp_path / "run").exists()


def test_what_was_stopped_early_by_two_processes_stays_so_until_it_is_given_more_patience(tmp_path, root):
    def ends(*arguments: str, patience: int) -> int:
        early = named("EarlyStopping", monitor="val/top1", mode="max", min_delta=1.0, patience=patience)
        trainer = {"callbacks": early, "max_epochs": 8}
        assert run(write_config(tmp_path, root, trainer=trainer), *arguments, processes=2) == [0, 0]
        end = last_checkpoint(tmp_path)
        best = end["callbacks"]["EarlyStopping{'monitor': 'val/top1', 'mode': 'max'}"]["best_score"]
        reason = f"val/top1 was not better than {100 * best:.2f} % for a patience of {patience}"
        assert f"EarlyStopping: {reason}" in said(tmp_path)
        return end["global_step"]

    # An epoch has one step, and the first validation is always the best so far.
    assert ends(patience=2) == 3
    assert ends("--resume", "auto", patience=2) == 3
    assert ends("--resume", "auto", patience=4) == 5


def test_one_callback_need_not_stand_in_a_list(tmp_path, root):
    config = write_config(tmp_path, root)
    config.write_text(config.read_text().replace("- class_path", "  class_path"))
    assert run(config) == [0], said(tmp_path)


def test_weights_to_start_from_are_averaged_from_the_first_validation_on(tmp_path, root):
    """Averaging copies the network when a run is set up; until it has begun, that copy is validated."""
    assert run(write_config(tmp_path / "before", root)) == [0]
    weights = tmp_path / "before" / "run" / "checkpoints" / "last.ckpt"
    late = named("EMAWeightAveraging", update_starting_at_step=100)
    config = write_config(
        tmp_path, root, model={"weights": {"path": str(weights)}}, trainer={"callbacks": late}
    )
    assert run(config) == [0], said(tmp_path)
    averaged = last_checkpoint(tmp_path)["state_dict"]
    for name, before in last_checkpoint(tmp_path / "before")["state_dict"].items():
        torch.testing.assert_close(averaged[name], before, rtol=0, atol=0)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "videos", **NUM_VIDEOS)


def assert_killed_runs_end_as_one_never_stopped(
    folder: Path, root: Path, *kills: Kill, **trainer: Any
) -> None:
    whole = whole_run(folder / "whole", root, processes=1, trainer=trainer)
    for kill in kills:
        killed = folder / f"{kill.step} {kill.moment}"
        assert try_kill(kill, killed, root, whole, trainer=trainer) == Outcome(survived=True, unlike=[])
        for part in ("current_model_state", "averaging_state"):
            for name, value in last_checkpoint(whole).get(part, {}).items():
                assert torch.equal(value, last_checkpoint(killed)[part][name])


@pytest.mark.slow  # tests/journey/test_toolbox.py kills one such run
def test_averaged_weights_are_resumed_within_an_epoch_in_a_validation_and_between_epochs(tmp_path, many):
    kills = Kill(4, every=3), Kill(7, "validation", every=3), Kill(8)
    trainer = {"callbacks": [*EMA, PRECISE], "max_epochs": 3}
    assert_killed_runs_end_as_one_never_stopped(tmp_path, many, *kills, **trainer)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "trainer",
    [
        {"callbacks": named("EMAWeightAveraging", decay=0.9, use_buffers=False)},
        {"callbacks": named("EMAWeightAveraging", update_every_n_steps=0, update_starting_at_epoch=0)},
        {"callbacks": named("WeightAveraging")},
        {"callbacks": named("EarlyStopping", monitor="val/top1", mode="max", patience=1), "max_epochs": 5},
        {"reload_dataloaders_every_n_epochs": 1},
        {"plugins": named("lightning.pytorch.plugins.AsyncCheckpointIO")},
        {"overfit_batches": 5},
        {"val_check_interval": 4, "check_val_every_n_epoch": None},
        {"max_epochs": None, "max_steps": 11},
        {"gradient_clip_val": 0.01},
        {"precision": "bf16-true"},
    ],
    ids=lambda trainer: " ".join(trainer),
)
def test_runs_with_other_switches_are_resumed_as_well(tmp_path, many, trainer):
    kills = Kill(3, every=3), Kill(5, every=2), Kill(10, "saving")
    assert_killed_runs_end_as_one_never_stopped(tmp_path, many, *kills, **trainer)
