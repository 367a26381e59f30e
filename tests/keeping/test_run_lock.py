"""One training at a time in a run's folder, however the one before ended."""

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from gcvideo.keeping import CheckpointFiles
from gcvideo.keeping.run_lock import RunLock
from gcvideo.run_folder import RunFolder
from tests.data.annotated import write_dataset
from tests.training.runs import context, differences, finish, run, said, start, write_config
from tests.training.trials import SLOW_CLIPS

LIMIT_SECONDS = 120.0
OWNER = r"process \d+ on \S+ has been training there since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d"


def until(condition, *, seconds: float = LIMIT_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def hold(folder: Path) -> None:
    """Hold the lock until killed, in a process with a child that lives a little longer."""
    RunLock(RunFolder(folder)).take(wait_seconds=0.0)
    if os.fork() == 0:
        time.sleep(30)
        os._exit(0)
    (folder / "held").touch()
    time.sleep(LIMIT_SECONDS)


def test_the_second_owner_is_refused_by_name_until_the_first_is_killed(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    half_written = tmp_path / "checkpoints" / ".last.ckpt.elsewhere-12.partial"
    holder = context.Process(target=hold, args=(tmp_path,))
    holder.start()
    until((tmp_path / "held").exists)
    half_written.write_bytes(b"begun")
    lock = RunLock(RunFolder(tmp_path))
    begun = time.monotonic()
    with pytest.raises(
        ValueError, match=f"^{tmp_path} is in use: {OWNER}; wait until it ends, or choose"
    ) as e:
        lock.take(wait_seconds=0.5)
    assert 0.5 <= time.monotonic() - begun < 5
    assert f"process {holder.pid} on" in str(e.value)
    assert half_written.exists()
    holder.kill()
    holder.join()
    lock.take(wait_seconds=0.0)  # although its forked child lives on
    assert not half_written.exists()
    lock.release()
    assert (tmp_path / "held").exists()


def test_a_folder_in_which_nothing_was_written_is_not_left_behind(tmp_path):
    lock = RunLock(RunFolder(tmp_path / "run"))
    lock.take(wait_seconds=0.0)
    assert lock.is_in_place()
    lock.release()
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").touch()
    with pytest.raises(ValueError, match=f"^{tmp_path}/run is no folder; choose another run_dir$"):
        lock.take(wait_seconds=0.0)


def test_two_runs_do_not_meet_in_one_folder_and_an_evaluation_may_stand_beside(tmp_path):
    """A requeue that overlaps with the end of the job before it, and what else people start meanwhile."""
    root = write_dataset(tmp_path / "videos", train=5, val=2, test=1)
    settings = {"trainer": {"max_epochs": 2}, "safeguard": {"every_steps": 1}}
    slow = {"train_transform": SLOW_CLIPS}
    whole, folder = tmp_path / "whole", tmp_path / "stopped"
    assert run(write_config(whole, root, **settings)) == [0], said(whole)

    (first,) = start(write_config(folder, root, data=slow, **settings))
    last = folder / "run" / "checkpoints" / "last.ckpt"
    until(last.is_file)
    os.kill(first.pid, signal.SIGSTOP)
    (requeued,) = start(write_config(folder, root, **settings), "--resume", "auto")
    in_run = "--run_dir", str(folder / "run")
    again = write_config(folder / "again", root)
    assert run(again, *in_run) == [1]
    assert run(again, *in_run, "--ckpt_path", str(last), command="validate") == [0], said(folder / "again")
    until(lambda: "waiting up to" in said(folder))
    for number in (signal.SIGTERM, signal.SIGCONT):
        os.kill(first.pid, number)
    assert finish([first], seconds=LIMIT_SECONDS) == [143]
    assert finish([requeued], seconds=LIMIT_SECONDS) == [0], said(folder)

    in_use = f"{folder}/run is in use: {OWNER}; wait until it ends, or choose another run_dir"
    assert re.search(f"^gcvideo fit: {in_use}$", said(folder / "again"), re.MULTILINE)
    assert f"waiting up to 60 s for {folder}/run: process {first.pid} on" in said(folder)
    assert "resumed after step" in said(folder)
    assert (folder / "run" / "val_metrics.json").is_file()
    assert differences(folder, whole) == []


@pytest.mark.parametrize("what", ["deleted", "moved away"])
def test_a_run_whose_folder_is_taken_away_ends_in_one_line_and_begins_no_other(tmp_path, what):
    root = write_dataset(tmp_path / "videos", train=5, val=2, test=1)
    slow = {"train_transform": SLOW_CLIPS}
    (process,) = start(write_config(tmp_path, root, data=slow, safeguard={"every_steps": 1}))
    until((tmp_path / "run" / "checkpoints" / "last.ckpt").is_file)
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    if what == "deleted":
        shutil.rmtree(tmp_path / "elsewhere")
    assert finish([process], seconds=LIMIT_SECONDS) == [1]
    assert "Traceback" not in said(tmp_path)
    line = said(tmp_path).splitlines()[-1]
    assert line.startswith(f"gcvideo fit: {tmp_path}/run/.lock is gone: its folder was deleted or moved away")
    assert not (tmp_path / "run" / "checkpoints").exists()


def save_for_ever(file: Path) -> None:
    while True:
        CheckpointFiles().save_checkpoint({"w": torch.ones(300_000)}, file)


def test_a_file_that_two_processes_write_at_once_is_always_whole(tmp_path):
    last = tmp_path / "last.ckpt"
    writers = [context.Process(target=save_for_ever, args=(last,)) for _ in range(2)]
    try:
        for writer in writers:
            writer.start()
        until(lambda: len([*tmp_path.glob(".last.ckpt.*.partial")]) == 2)
        until(last.is_file)
        for _ in range(100):
            assert torch.equal(torch.load(last, weights_only=True)["w"], torch.ones(300_000))
    finally:
        for writer in writers:
            writer.kill()
            writer.join()
