"""Many processes compute what one computes."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from tests.data.annotated import write_dataset
from tests.training.runs import batches, fault, last_checkpoint, run, said, write_config
from tests.training.trials import (
    NUM_VIDEOS,
    Kill,
    Outcome,
    evaluate,
    train_checkpoint,
    try_kill,
    whole_run,
    write_hundred_videos,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hundred_videos(tmp_path_factory.mktemp("data") / "videos")


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_checkpoint(tmp_path_factory.mktemp("trained"), root)


def assert_equal_metrics(several: dict[str, Any], alone: dict[str, Any]) -> None:
    """Figures are equal but for rounding, and of the same protocol."""
    assert several.pop("protocol") == alone["protocol"]
    assert several == pytest.approx({name: alone[name] for name in alone.keys() - {"protocol"}}, abs=1e-6)


def assert_equal_figures(folder: Path, root: Path, trained: Path, num_videos: int, *counts: int) -> None:
    alone = evaluate(folder / "1", root, trained, num_videos=num_videos, processes=1)
    assert alone.table is not None
    assert alone.table["video"].tolist() == [f"{index:02d}.mp4" for index in range(num_videos)]
    for processes in counts:
        several = evaluate(folder / str(processes), root, trained, num_videos=num_videos, processes=processes)
        assert_equal_metrics(several.metrics, alone.metrics)
        pd.testing.assert_frame_equal(several.table, alone.table, atol=2e-6, rtol=0)


def test_a_test_on_several_processes_has_the_figures_of_one(tmp_path, root, trained):
    for num_videos, counts in ((1, [3]), (7, [2])):
        assert_equal_figures(tmp_path / str(num_videos), root, trained, num_videos, *counts)


@pytest.mark.slow
@pytest.mark.parametrize("num_videos", [1, 7, 21, 100])
def test_any_number_of_videos_on_any_number_of_processes_has_the_figures_of_one(
    tmp_path, root, trained, num_videos
):
    assert_equal_figures(tmp_path, root, trained, num_videos, 2, 3)


def test_fewer_validation_videos_than_processes_are_validated_and_trained_with(tmp_path, root, trained):
    alone, three = (
        evaluate(tmp_path / str(n), root, trained, num_videos=1, processes=n, command="validate").metrics
        for n in (1, 3)
    )
    assert_equal_metrics(three, alone)
    config = write_config(tmp_path / "fit", root)
    assert run(config, processes=3) == [0] * 3, said(tmp_path / "fit")


def test_two_and_four_processes_have_the_loss_trace_of_one(tmp_path, root):
    """At one global batch of 4 clips, with norms in evaluation; each rank's loss is the mean of its clips."""
    traces, weights = {}, {}
    for processes in (1, 2, 4):
        folder = tmp_path / str(processes)
        data = {"batch_size": 4 // processes, "blend": []}
        config = write_config(folder, root, fault("InEvaluation"), data=data, model={"learning_rate": 2.0})
        assert run(config, processes=processes) == [0] * processes, said(folder)
        facts = batches(folder)
        traces[processes] = torch.tensor(
            [[float.fromhex(facts[p, b]["loss"]) for b in range(1, 9)] for p in range(processes)]
        ).mean(0)
        weights[processes] = last_checkpoint(folder)["state_dict"]
    assert traces[1].std() > 0.01
    for processes in (2, 4):
        torch.testing.assert_close(traces[processes], traces[1], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(weights[processes], weights[1], rtol=1e-4, atol=1e-6)


def test_precise_norms_of_several_processes_are_those_of_one(tmp_path, root):
    """Of the first norm, whose inputs do not depend on which clips were together in a batch."""
    found = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        precise = {
            "class_path": "gcvideo.training.PreciseBatchNorm",
            "init_args": {"num_batches": 8 // processes},
        }
        trainer = {"callbacks": [precise], "max_epochs": 1}
        config = write_config(folder, root, trainer=trainer, model={"learning_rate": 0.0})
        assert run(config, processes=processes) == [0] * processes, said(folder)
        found[processes] = last_checkpoint(folder)["state_dict"]
    for name in ("network.first_norm.running_mean", "network.first_norm.running_var"):
        torch.testing.assert_close(found[2][name], found[1][name], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_static_graph_trains_resumes_and_tests_as_ddp_does(tmp_path):
    root = write_dataset(tmp_path / "videos", **NUM_VIDEOS)
    plain = whole_run(tmp_path / "plain", root, processes=2, trainer={"strategy": "ddp"})
    strategy = {"class_path": "DDPStrategy", "init_args": {"static_graph": True}}
    static = tmp_path / "static"
    outcome = try_kill(Kill(4, processes=2), static, root, plain, trainer={"strategy": strategy})
    assert outcome == Outcome(survived=True, unlike=[])
    tables = []
    for folder in (plain, static):
        newest = str(folder / "run" / "checkpoints" / "last.ckpt")
        assert run(folder / "run.yaml", "--ckpt_path", newest, command="test", processes=2) == [0, 0]
        tables.append(pd.read_csv(folder / "run" / "predictions.csv"))
    pd.testing.assert_frame_equal(*tables)
