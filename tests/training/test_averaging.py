"""Stochastic weight averaging against its algorithm, and through a stop."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer

from gcvideo.cli import main
from gcvideo.training import (
    HalfCosine,
    SWAWeightAveraging,
    ThenConstant,
)
from tests.doors.own import dataset, ends_apart, fit
from tests.training.plain_loop import TRAINER, batches_of_four, classifier_and_network, optimizer_of
from tests.training.runs import last_checkpoint, same_values, write_config
from tests.training.test_classifier import Loader


@pytest.mark.parametrize(("start", "every"), [(1, 1), (3, 1), (1, 2)])
def test_weights_are_averaged_as_algorithm_1_averages_them(tmp_path, start, every):
    torch.manual_seed(0)
    batches = batches_of_four(2)
    model, alone = classifier_and_network(batch_size=64)
    averaging = SWAWeightAveraging(start, every_epochs=every)
    run = Trainer(default_root_dir=tmp_path, max_epochs=5, callbacks=[averaging], **TRAINER)
    run.fit(model, Loader(batches), Loader(batches))  # which ends with the means in the network

    optimizer = optimizer_of(alone)
    means = {name: weight.detach().clone() for name, weight in alone.named_parameters()}
    for epoch in range(1, 6):
        for batch in batches:
            optimizer.zero_grad()
            F.cross_entropy(alone(batch.views[:, 0]), batch.target).backward()
            optimizer.step()
        since = epoch - start
        for name, weight in alone.named_parameters():
            if since <= 0:
                means[name] = weight.detach().clone()
            elif since % every == 0:
                n = since // every
                means[name] = (n * means[name] + weight.detach()) / (n + 1)
    for name, mean in means.items():
        torch.testing.assert_close(model.network.get_parameter(name).detach(), mean, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:The checkpoint was not created with WeightAveraging")
def test_a_stopped_run_goes_on_with_the_means_and_one_that_would_average_nothing_is_refused(tmp_path, capsys):
    root = dataset(tmp_path / "videos")

    def settings(start: int) -> dict[str, Any]:
        swa = {"class_path": "gcvideo.training.SWAWeightAveraging", "init_args": {"start_epoch": start}}
        level = {"class_path": "gcvideo.training.Constant"}
        return {"model": {"lr_schedule": level}, "trainer": {"callbacks": [swa], "max_epochs": 3}}

    fit(tmp_path / "never", root, **settings(1))
    fit(tmp_path / "stopped", root, "--trainer.max_steps", "7", **settings(1))  # the first mean is of step 6
    fit(tmp_path / "stopped", root, "--resume", "auto", **settings(1))
    assert ends_apart(tmp_path / "stopped", tmp_path / "never") == []
    ends = [last_checkpoint(tmp_path / name) for name in ("stopped", "never")]
    for part in ("current_model_state", "averaging_state"):
        assert same_values(*(end[part] for end in ends))
    assert not same_values(ends[0]["current_model_state"], ends[0]["state_dict"])

    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(write_config(tmp_path / "late", root, **settings(3)))])
    said = capsys.readouterr().err
    assert "SWAWeightAveraging averages first after step 12 (start_epoch 3, every_epochs 1), and" in said
    # Nor is it added behind its start, where the weights to begin with are gone.
    fit(tmp_path / "without", root, model=settings(1)["model"])
    with pytest.raises(SystemExit):
        fit(tmp_path / "without", root, "--resume", "auto", **settings(1))
    assert "the checkpoint is of step 6, behind it, and has averaged nothing" in capsys.readouterr().err


def test_a_rate_falls_and_is_then_level():
    schedule = ThenConstant(first=HalfCosine(warmup_steps=20, end=0.1), epochs=8.0, factor=0.1)
    settled = schedule.settled(steps_per_epoch=10, max_epochs=12.0)
    alone = HalfCosine(warmup_epochs=2.0, end=0.1)
    for epoch in (0.0, 1.0, 5.0):
        assert settled(epoch, 12.0) == alone(epoch, 8.0)
    assert [settled(epoch, 12.0) for epoch in (8.0, 12.0)] == [0.1, 0.1]


def test_epochs_that_are_none_are_refused():
    with pytest.raises(ValueError, match="start_epoch is 3 and every_epochs 0; expected 1 or more of each"):
        SWAWeightAveraging(3, every_epochs=0)
