"""A killed run that is resumed, beside one that was never stopped: the same clips, the same bits."""

import signal

import pytest

from tests.training.runs import batches, fault, last_checkpoint, run, said, write_config
from tests.training.trials import (
    PRECISE,
    STEPS_PER_EPOCH,
    Kill,
    Outcome,
    every_kill,
    try_kill,
    whole_run,
)

AS_IF_NOTHING_HAPPENED = Outcome(survived=True, unlike=[])


def test_a_whole_run_reads_every_video_once_an_epoch_in_another_order_each(whole):
    for processes, folder in whole.items():
        facts = [facts for facts in batches(folder).values() if "epoch" in facts]
        first, second = (
            [video for of_batch in facts if of_batch["epoch"] == epoch for video in of_batch["videos"]]
            for epoch in range(2)
        )
        assert len(set(first)) == len(first) == STEPS_PER_EPOCH[processes] * 2 * processes
        assert len(set(second)) == len(second) == len(first)
        assert first != second


@pytest.mark.parametrize(
    "kill",
    [
        Kill(1, workers=2),  # before anything was saved
        Kill(7, "validation", every=3),
        Kill(3, processes=2),  # the last step of an epoch; its validation is still to come
    ],
)
def test_a_killed_run_that_is_resumed_ends_as_one_never_stopped(tmp_path, root, whole, kill):
    assert try_kill(kill, tmp_path, root, whole[kill.processes]) == AS_IF_NOTHING_HAPPENED


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("workers", [0, 2])
def test_wherever_a_run_is_killed_it_ends_as_one_never_stopped(tmp_path, root, whole, workers, processes):
    for number, kill in enumerate(every_kill(workers=workers, processes=processes)):
        outcome = try_kill(kill, tmp_path / str(number), root, whole[processes])
        assert outcome == AS_IF_NOTHING_HAPPENED, kill


def test_validations_within_an_epoch_and_accumulated_gradients_are_resumed(tmp_path, root):
    """Killed where half the gradients of a step are there, and in a validation."""
    trainer = {"val_check_interval": 2, "accumulate_grad_batches": 2, "callbacks": [PRECISE]}
    whole = whole_run(tmp_path / "whole", root, processes=1, trainer=trainer)
    for kill in (Kill(1, "validation"), Kill(4, "saving")):
        outcome = try_kill(kill, tmp_path / str(kill.step), root, whole, trainer=trainer)
        assert outcome == AS_IF_NOTHING_HAPPENED


def test_a_finished_run_that_is_resumed_does_nothing(tmp_path, root):
    config = write_config(tmp_path, root)
    assert run(config) == [0]
    before = last_checkpoint(tmp_path)
    assert run(config, "--resume", "auto") == [0]
    assert last_checkpoint(tmp_path)["global_step"] == before["global_step"] == 14
    assert len(batches(tmp_path)) == 15


def test_one_process_goes_on_where_two_were(tmp_path, root, whole):
    """With the same clips a step; blending and dropout differ, for they are drawn in each process."""
    kill = fault("Signal", number=int(signal.SIGKILL), step=2, moment="step")
    settings = {"trainer": {"callbacks": [PRECISE]}, "safeguard": {"every_steps": 1}}
    run(write_config(tmp_path, root, kill, **settings), processes=2)
    config = write_config(tmp_path, root, **settings, data={"batch_size": 4})
    (tmp_path / "record").rename(tmp_path / "record of two")
    assert run(config, "--resume", "auto") == [0], said(tmp_path)
    assert "1 processes (was 2): steps have the same videos" in said(tmp_path)
    assert "data.batch_size 4 (was 2)" in said(tmp_path)
    for (_, batch), facts in batches(tmp_path).items():
        if batch > 0:
            of_two = [set(batches(whole[2])[process, batch]["videos"]) for process in (0, 1)]
            assert set(facts["videos"]) == of_two[0] | of_two[1]


def test_another_global_batch_is_refused(tmp_path, root):
    kill = fault("Signal", number=int(signal.SIGKILL), step=2, moment="step")
    run(write_config(tmp_path, root, kill, safeguard={"every_steps": 1}))
    config = write_config(tmp_path, root, data={"batch_size": 3})
    assert run(config, "--resume", "auto") == [1]
    assert "the checkpoint counts 7 batches of an epoch, and this run 5; resume with the same" in said(
        tmp_path
    )
