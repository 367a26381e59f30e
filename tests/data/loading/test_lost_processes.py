"""What the system does to loader processes costs no video; only what a video does to them."""

import logging
import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import multiprocessing

from gcvideo.clip import VideoRecord
from gcvideo.data.loading import batch as reading
from gcvideo.data.loading.loader import VideoLoader
from tests.data.annotated import write_records
from tests.data.loading.test_loader import NUM_VIDEOS, KeepAll, all_same, die_of, loader_of, pids_of

KILLED = (
    "the loader process was killed (SIGKILL), as the kernel does where memory is short; "
    "fewer data.num_workers take less"
)

pytestmark = pytest.mark.timeout(120, method="thread")


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> list[VideoRecord]:
    return write_records(tmp_path_factory.mktemp("videos"), range(10, 10 + NUM_VIDEOS))


def once(folder: Path, fault: Callable[[], None]) -> Callable[[], None]:
    """The fault, in the first process that comes to it."""

    def be() -> None:
        try:
            (folder / "came").touch(exist_ok=False)
        except FileExistsError:
            return
        fault()

    return be


def wait_until_idle(loader: VideoLoader) -> None:
    """Until its processes have read ahead and are waiting, and not between two videos."""
    idle = 0
    while idle < 10:
        time.sleep(0.05)
        idle = idle + 1 if all(worker.item is None for worker in loader._pool.processes) else 0


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGKILL, KILLED),
        (signal.SIGSTOP, "the loader process was stopped by a signal for more than 3 s"),
    ],
)
def test_a_process_that_is_killed_or_stopped_costs_no_video(records, number, said, caplog, tmp_path):
    policy = KeepAll()
    faults = {6: once(tmp_path, die_of(number))}
    loader = loader_of(records, faults=faults, unreadable=policy, timeout_seconds=3.0)
    with caplog.at_level(logging.WARNING, logger="gcvideo"):
        batches = list(loader)
    assert all_same(batches, list(loader_of(records, num_workers=0)))
    assert policy.told == []
    assert [record.message for record in caplog.records] == [
        f"{records[6].path}: {said}; it is read again, alone"
    ]


def test_a_video_whose_process_was_killed_is_read_again_while_no_other_is(records, tmp_path):
    begun = tmp_path / "begun"
    begun.mkdir()

    def note(index: int) -> Callable[[], None]:
        return lambda: (begun / f"{index}-{time.monotonic()}").touch()

    def be_killed_or_watch() -> None:
        once(tmp_path, die_of(signal.SIGKILL))()
        before = len(list(begun.iterdir()))
        time.sleep(1.0)
        (tmp_path / "meanwhile").write_text(str(len(list(begun.iterdir())) - before))

    faults = {index: note(index) for index in range(NUM_VIDEOS)} | {6: be_killed_or_watch}
    loader = loader_of(records, faults=faults, num_workers=3, batch_size=1, timeout_seconds=30.0)
    assert len(list(loader)) == NUM_VIDEOS
    assert (tmp_path / "meanwhile").read_text() == "0"


def test_a_video_that_has_its_process_killed_when_it_is_read_alone_too_is_lost(records, caplog):
    policy = KeepAll()
    faults = {6: die_of(signal.SIGKILL)}
    loader = loader_of(records, faults=faults, unreadable=policy, timeout_seconds=30.0)
    with caplog.at_level(logging.WARNING, logger="gcvideo"):
        names = [name for batch in loader for name in batch.video_id]
    reason = f"{KILLED}; and again when it was read alone"
    assert policy.told == [(0, "06.mp4", reason)]
    assert [record.message.partition(": ")[2] for record in caplog.records] == [
        f"{KILLED}; it is read again, alone",
        f"{reason}; another process takes over",
    ]
    assert len(names) == 11


def test_processes_that_are_killed_again_and_again_cost_no_video(records, caplog):
    loader = loader_of(records, num_workers=3, timeout_seconds=30.0, batch_size=1)
    batches = []
    for number, batch in enumerate(loader):
        batches.append(batch)
        if number in (0, 2, 4):  # early: a process that has read its last video is not missed
            os.kill(pids_of(loader)[number % 3], signal.SIGKILL)
    assert all_same(batches, list(loader_of(records, num_workers=0, batch_size=1)))
    assert caplog.text.count(KILLED) >= 3


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGKILL, KILLED),
        (signal.SIGSTOP, "the loader process did nothing for more than 2 s"),
    ],
)
def test_processes_that_are_killed_or_stopped_while_they_wait_cost_nothing(records, number, said, caplog):
    loader = loader_of(records, num_workers=5, timeout_seconds=2.0, batch_size=1)
    iterator = iter(loader)
    batches = [next(iterator)]
    wait_until_idle(loader)
    for pid in pids_of(loader):
        os.kill(pid, number)
    assert all_same(batches + list(iterator), list(loader_of(records, num_workers=0, batch_size=1)))
    assert f"between two videos: {said}; another process takes over" in caplog.text


def test_a_process_that_is_stopped_while_it_puts_a_batch_together_is_replaced(records, monkeypatch, tmp_path):
    sound, collate = list(loader_of(records, num_workers=0)), reading.collate
    stop = once(tmp_path, die_of(signal.SIGSTOP))
    monkeypatch.setattr(reading, "collate", lambda clips, **kind: stop() or collate(clips, **kind))
    assert all_same(list(loader_of(records, timeout_seconds=2.0)), sound)


def test_processes_that_are_lost_whenever_they_put_a_batch_together_end_the_iteration(records, monkeypatch):
    monkeypatch.setattr(reading, "collate", lambda clips, **_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(ChildProcessError, match=r"again and again between videos: .*where memory is short"):
        list(loader_of(records, timeout_seconds=30.0))


def test_a_batch_that_takes_long_to_put_together_is_waited_for(records, monkeypatch, caplog):
    sound, collate = list(loader_of(records, num_workers=0)), reading.collate

    def slowly(clips, **kind):
        begun = time.process_time()
        while time.process_time() - begun < 2.0:
            pass
        return collate(clips, **kind)

    monkeypatch.setattr(reading, "collate", slowly)
    assert all_same(list(loader_of(records, timeout_seconds=1.0)), sound)
    assert caplog.text == ""


@pytest.mark.slow
def test_processes_that_take_long_to_start_are_waited_for(records, monkeypatch, caplog):
    sound = list(loader_of(records, num_workers=0))
    spawn = multiprocessing.get_context("spawn")  # each imports everything anew
    monkeypatch.setattr(multiprocessing, "get_context", lambda: spawn)
    assert all_same(list(loader_of(records, timeout_seconds=1.0, num_workers=1)), sound)
    assert caplog.text == ""


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_run_that_is_stopped_and_continued_loses_no_video(records, num_workers, monkeypatch, tmp_path):
    monkeypatch.setattr("gcvideo.processes.LOOKED_AWAY_SECONDS", 2.5)
    reading = tmp_path / "reading"
    faults = {6: lambda: (reading.write_text(str(os.getpid())), time.sleep(1.0))}
    child = os.fork()
    if child == 0:  # as the shell does with a job of its own
        os.setpgid(0, 0)
        policy = KeepAll()
        settings = {"num_workers": num_workers, "timeout_seconds": 3.0, "unreadable": policy}
        list(loader_of(records, faults=faults, **settings))
        os._exit(len(policy.told))
    while not reading.exists():
        time.sleep(0.05)
    os.killpg(child, signal.SIGSTOP)
    time.sleep(5.0)
    os.killpg(child, signal.SIGCONT)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize("num_workers", [0, 2])
def test_that_no_more_files_may_be_opened_is_not_a_video_s_fault(records, num_workers):
    def open_all() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, before[1]))
        with suppress(OSError):
            while True:
                kept.append(os.dup(0))

    before, kept = resource.getrlimit(resource.RLIMIT_NOFILE), []
    try:
        with pytest.raises(OSError, match=r"[Tt]oo many open files"):
            list(loader_of(records, faults={6: open_all}, num_workers=num_workers, timeout_seconds=30.0))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for descriptor in kept:
            os.close(descriptor)


def test_memory_that_a_loader_process_does_not_get_is_named(records):
    faults = {6: lambda: torch.empty(2**60, dtype=torch.uint8)}
    with pytest.raises(OSError, match=f"memory is short: tried to allocate {2**60} bytes; lower data"):
        list(loader_of(records, faults=faults, timeout_seconds=30.0))
