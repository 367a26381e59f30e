"""Runs that are asked to stop, and runs whose numbers are not finite any more."""

import json
import os
import signal
import threading

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from torch import nn

from gcvideo.keeping import Safeguard
from gcvideo.keeping.finite import RequireFinite, all_finite, gradients, scales_its_loss
from gcvideo.keeping.stopping import StopSignals
from gcvideo.training import VideoClassifier
from tests.training.networks import TwoLayers
from tests.training.runs import batches, context, fault, last_checkpoint, run, said, write_config
from tests.training.trials import STEPS_PER_EPOCH, Outcome, Stop, every_stop, try_stop

SAVE_OFTEN = {"safeguard": {"every_steps": 1}}


@pytest.mark.parametrize(("processes", "bad"), [(1, 0), (2, 1)])
def test_a_loss_that_is_not_finite_stops_all_processes_and_names_its_videos(
    tmp_path, root, whole, processes, bad
):
    config = write_config(tmp_path, root, fault("NotFinite", step=2, process=bad), **SAVE_OFTEN)
    assert run(config, processes=processes) == [1] * processes
    videos = ", ".join(batches(whole[processes])[bad, 2]["videos"])
    told = said(tmp_path)
    assert "Traceback" not in told
    assert told.count("step 2: the loss is not finite; no weight was changed") == 1
    assert f"look at what was read in process {bad}: {videos}\n" in told
    assert max(batch for _, batch in batches(tmp_path)) == 1
    assert last_checkpoint(tmp_path)["global_step"] == 1
    state = last_checkpoint(tmp_path)["state_dict"]
    assert all(tensor.isfinite().all() for tensor in state.values())


def test_a_gradient_that_is_not_finite_stops_the_run_though_the_loss_is(tmp_path, root):
    config = write_config(tmp_path, root, fault("BadGradient", step=3), **SAVE_OFTEN)
    assert run(config) == [1]
    assert "step 3: the gradient norm is not finite" in said(tmp_path)
    assert last_checkpoint(tmp_path)["global_step"] == 2


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_one_number_that_is_not_finite_among_thousands_is_found(bad):
    network = nn.Sequential(nn.Linear(50, 60), nn.Linear(60, 50))
    network(torch.ones(2, 50)).sum().backward()
    assert all_finite(gradients(network))
    assert len(gradients(network)) == 4
    network[1].weight.grad[49, 59] = bad
    assert not all_finite(gradients(network))


def test_infinite_gradients_are_left_to_a_loss_scaler():
    assert scales_its_loss(MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu")))
    assert not scales_its_loss(MixedPrecision("bf16-mixed", "cpu"))
    assert not scales_its_loss(Precision())


def test_weights_that_are_not_finite_are_not_saved():
    model = VideoClassifier(TwoLayers, ["a", "b"])
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    state = {"weight": torch.tensor([1.0, 2.0]), "count": torch.tensor(3)}
    (finite,) = [part for part in Safeguard().callbacks(writes=True) if isinstance(part, RequireFinite)]
    finite.on_save_checkpoint(trainer, model, {"state_dict": state})
    state["weight"][1] = torch.nan
    with pytest.raises(ValueError, match="weights or statistics are not finite after step 0; no checkpoint"):
        finite.on_save_checkpoint(trainer, model, {"state_dict": state})


def test_processes_agree_by_one_all_reduce_a_step(tmp_path, root):
    """Beside DDP's of the gradients, which are not Python's to count; and before the end of an epoch."""
    count = fault("CountCollectives", folder=str(tmp_path))
    trainer = {"max_epochs": 1, "limit_val_batches": 0}
    assert run(write_config(tmp_path, root, count, trainer=trainer), processes=2) == [0, 0], said(tmp_path)
    for process in range(2):
        *batches, _ = json.loads((tmp_path / f"collectives.{process}.json").read_text())
        assert batches == [[["all_reduce", 5]]] * (STEPS_PER_EPOCH[2] - 1)


@pytest.mark.parametrize(
    "stop",
    [
        Stop(signal.SIGTERM, 3, "decoding"),
        Stop(signal.SIGTERM, 7, "validation"),
        Stop(signal.SIGTERM, 0, "start", processes=2, process=1),
        Stop(signal.SIGTERM, 1, "step", processes=2, process=1),
        Stop(signal.SIGUSR1, 3, "validation", processes=2, process=1),
    ],
)
def test_a_run_asked_to_stop_saves_its_last_step_ends_with_143_and_is_resumed(tmp_path, root, whole, stop):
    assert try_stop(stop, tmp_path, root, whole[stop.processes]) == Outcome(survived=True, unlike=[])


@pytest.mark.parametrize("moment", ["saving", "decoding"])
def test_a_run_that_is_interrupted_ends_with_130_and_the_checkpoint_before(tmp_path, root, moment):
    interrupt = fault("Signal", number=int(signal.SIGINT), step=2, moment=moment)
    slow = {
        "train_transform": {"class_path": "tests.training.faults.SlowJitter", "init_args": {"seconds": 0.4}}
    }
    config = write_config(tmp_path, root, interrupt, data=slow, **SAVE_OFTEN)
    assert run(config) == [130]
    assert said(tmp_path).splitlines()[-1] == "gcvideo fit: interrupted"
    assert "Traceback" not in said(tmp_path)
    assert last_checkpoint(tmp_path)["global_step"] == 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("processes", [1, 2])
def test_a_signal_to_any_process_at_any_moment_stops_all_in_order(tmp_path, root, whole, processes):
    for number, stop in enumerate(every_stop(processes=processes)):
        outcome = try_stop(stop, tmp_path / str(number), root, whole[processes])
        assert outcome == Outcome(survived=True, unlike=[]), stop


def test_in_a_slurm_job_the_second_signal_asks_for_one_requeue(tmp_path, root):
    asked = tmp_path / "asked"
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    scontrol.chmod(0o755)
    slurm = {"PATH": f"{scontrol.parent}:{os.environ['PATH']}", "SLURM_JOB_ID": "1234"}
    for number, requeues in [(signal.SIGTERM, []), (signal.SIGUSR1, ["requeue 1234"])]:
        folder = tmp_path / number.name
        config = write_config(folder, root, fault("Signal", number=int(number), step=1, process=1))
        assert run(config, processes=2, environment=slurm) == [143, 143]
        assert (asked.read_text().splitlines() if asked.exists() else []) == requeues


def busy_for_ever() -> None:
    signals = StopSignals(grace_seconds=0.5)
    signals.listen()
    signals.may_end = lambda: False
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def test_a_process_that_cannot_stop_is_ended_when_its_time_is_over():
    process = context.Process(target=busy_for_ever)
    process.start()
    process.join(30)
    assert process.exitcode == 143


@pytest.mark.parametrize("setting", [{"every_minutes": 0.0}, {"every_steps": 0}, {"grace_seconds": -1.0}])
def test_settings_out_of_range_are_refused(setting):
    ((name, number),) = setting.items()
    with pytest.raises(ValueError, match=f"{name} is {number:g}.*; expected more than 0"):
        Safeguard(**setting)
