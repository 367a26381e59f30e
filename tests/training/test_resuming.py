"""A killed run that is resumed, beside one that was never stopped: the same clips, the same bits."""

import signal
from pathlib import Path

import pytest

from tests.data.annotated import write_dataset
from tests.training.runs import assert_same_end, batches, fault, last_checkpoint, run, said, write_config

PRECISE = {"class_path": "gcvideo.training.PreciseBatchNorm", "init_args": {"num_batches": 2}}
SETTINGS = {"trainer": {"callbacks": [PRECISE]}}
STEPS_PER_EPOCH = {1: 7, 2: 3}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "videos", train=15, val=5, test=1)


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Folders of runs that were never stopped, by the number of processes."""
    folders = {processes: tmp_path_factory.mktemp(f"whole{processes}") for processes in (1, 2)}
    for processes, folder in folders.items():
        assert run(write_config(folder, root, **SETTINGS), processes=processes) == [0] * processes
    return folders


def test_a_whole_run_reads_every_video_once_an_epoch_in_another_order_each(whole):
    for processes, folder in whole.items():
        by_epoch = [
            [
                video
                for facts in batches(folder).values()
                if facts.get("epoch") == epoch
                for video in facts["videos"]
            ]
            for epoch in range(2)
        ]
        assert [len(set(videos)) for videos in by_epoch] == [len(videos) for videos in by_epoch]
        assert len(by_epoch[0]) == STEPS_PER_EPOCH[processes] * 2 * processes
        assert by_epoch[0] != by_epoch[1]


def killed_and_resumed(
    folder: Path, root: Path, *, step: int, moment: str, every: int, workers: int, processes: int, **settings
) -> None:
    settings = {**SETTINGS, **settings, "safeguard": {"every_steps": every}}
    settings["data"] = {"num_workers": workers}
    kill = fault("Signal", number=int(signal.SIGKILL), step=step, moment=moment)
    codes = run(write_config(folder, root, kill, **settings), processes=processes)
    assert codes == [-signal.SIGKILL] * processes
    config = write_config(folder, root, **settings)
    assert run(config, "--resume", "auto", processes=processes) == [0] * processes, said(folder)


@pytest.mark.parametrize(
    ("step", "moment", "every", "workers", "processes"),
    [
        (1, "step", 1, 2, 1),  # before anything was saved
        (4, "saving", 1, 0, 1),
        (7, "validation", 3, 0, 1),
        (3, "step", 1, 0, 2),  # the last step of an epoch; its validation is still to come
    ],
)
def test_a_killed_run_that_is_resumed_ends_as_one_never_stopped(
    tmp_path, root, whole, step, moment, every, workers, processes
):
    killed_and_resumed(
        tmp_path, root, step=step, moment=moment, every=every, workers=workers, processes=processes
    )
    assert_same_end(tmp_path, whole[processes])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("workers", [0, 2])
def test_wherever_a_run_is_killed_it_ends_as_one_never_stopped(tmp_path, root, whole, workers, processes):
    last = 2 * STEPS_PER_EPOCH[processes]
    for step in range(1, last):
        for moment in ("step", "saving"):
            for every in (1, 3):
                if moment == "saving" and step % every and step % STEPS_PER_EPOCH[processes]:
                    continue
                folder = tmp_path / f"{step}-{moment}-{every}"
                killed_and_resumed(
                    folder, root, step=step, moment=moment, every=every, workers=workers, processes=processes
                )
                assert_same_end(folder, whole[processes])


def test_validations_within_an_epoch_and_accumulated_gradients_are_resumed(tmp_path, root):
    """Killed at each of the steps that are followed by a validation, or by half a step."""
    trainer = {"val_check_interval": 2, "accumulate_grad_batches": 2, "callbacks": [PRECISE]}
    assert run(write_config(tmp_path / "whole", root, trainer=trainer)) == [0]
    for step, moment in [(1, "validation"), (4, "saving")]:
        folder = tmp_path / f"{step}-{moment}"
        killed_and_resumed(
            folder, root, step=step, moment=moment, every=1, workers=0, processes=1, trainer=trainer
        )
        assert_same_end(folder, tmp_path / "whole")


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
    settings = {**SETTINGS, "safeguard": {"every_steps": 1}}
    run(write_config(tmp_path, root, kill, **settings), processes=2)
    config = write_config(tmp_path, root, **settings, data={"batch_size": 4})
    (tmp_path / "record").rename(tmp_path / "record of two")
    assert run(config, "--resume", "auto") == [0], said(tmp_path)
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
