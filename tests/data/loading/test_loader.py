"""Every batch comes as it must, whatever happened before it and to the processes that read."""

import ctypes
import logging
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gcvideo.clip import Clip, ClipBatch, VideoRecord
from gcvideo.data.dataset import EpochOrder, SampleKey, VideoDataset
from gcvideo.data.decoding import DecodeError
from gcvideo.data.loading.loader import VideoLoader
from gcvideo.data.loading.unreadable import RaiseUnreadable
from gcvideo.data.sampling import ClipFrames, RandomClip
from gcvideo.data.transforms import ScaleJitter
from tests.data.annotated import write_records

ALONE = "GCVIDEO_TEST_ALONE"
"""In the environment of a test that has a process of its own."""

NUM_VIDEOS = 13
CLIP = RandomClip(ClipFrames(num_frames=2, stride=3))
CROP = ScaleJitter(crop_size=32, min_short_side=32, max_short_side=48).transform

pytestmark = pytest.mark.timeout(90, method="thread")


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> list[VideoRecord]:
    return write_records(tmp_path_factory.mktemp("videos"), range(10, 10 + NUM_VIDEOS))


class Faulty(VideoDataset):
    """Videos, some of which do something else than come: index -> what."""

    faults: dict[int, Callable[[], None]]

    def __getitem__(self, key: SampleKey) -> Clip:
        self.faults.get(key[1], int)()
        return super().__getitem__(key)


class KeepAll:
    """Takes note of unreadable videos, and goes on."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str, str]] = []

    def handle(self, videos, *, epoch: int) -> None:
        self.told += [(epoch, record.video_id, reason) for record, reason in videos]


def loader_of(records, *, faults=None, num_workers=2, epoch=0, unreadable=None, **settings) -> VideoLoader:
    dataset = Faulty(records, clips=CLIP, crops=CROP)
    dataset.faults = faults or {}
    order = EpochOrder(len(records), shuffle=True, even=True, seed=4, rank=0, num_processes=1)
    order.set_epoch(epoch)
    settings = {"batch_size": 3, "drop_last": True, "timeout_seconds": 1.0} | settings
    return VideoLoader(
        dataset,
        order=order,
        num_workers=num_workers,
        unreadable=unreadable or RaiseUnreadable(),
        **settings,
    )


def same(one: ClipBatch, other: ClipBatch) -> bool:
    return (
        torch.equal(one.frames, other.frames) and torch.equal(one.label, other.label) and one[2:] == other[2:]
    )


def all_same(some: list[ClipBatch], others: list[ClipBatch]) -> bool:
    return len(some) == len(others) and all(map(same, some, others))


def hang() -> None:
    """As a decoder does that waits in C without letting go of the interpreter."""
    ctypes.PyDLL(None).sleep(3600)


def wait_in_c() -> None:
    ctypes.CDLL(None).sleep(3600)


def die_of(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_batches_do_not_depend_on_the_number_of_workers(records, num_workers):
    alone = loader_of(records, num_workers=0)
    shared = loader_of(records, num_workers=num_workers)
    for epoch in (0, 1):
        alone.sampler.set_epoch(epoch)
        shared.sampler.set_epoch(epoch)
        batches = list(shared)
        assert all_same(batches, list(alone))
        assert len(batches) == len(shared) == 4


@pytest.mark.parametrize("num_workers", [0, 2])
def test_skipped_batches_are_not_read_and_the_others_are_as_ever(records, num_workers):
    whole = list(loader_of(records, epoch=3))
    loader = loader_of(records, num_workers=num_workers)
    iterator = iter(loader)
    loader.sampler.set_epoch(3)  # Lightning sets the epoch after it has asked for the iterator
    loader.skip(3)
    assert all_same(list(iterator), whole[3:])
    assert all_same(list(loader), whole)  # the next epoch begins at its beginning
    not_read = [index for _, index in loader.sampler][:9]
    loader = loader_of(records, epoch=3, faults=dict.fromkeys(not_read, hang))
    loader.skip(3)
    assert all_same(list(loader), whole[3:])
    loader.skip(4)
    assert list(loader) == []
    with pytest.raises(ValueError, match="skip 5 batches was asked for, and an epoch has 4"):
        loader.skip(5)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_processes_keep_the_memory_of_one_video_for_the_next(records):
    if ALONE not in os.environ:  # loader processes begin with the heap of this one, after many other tests
        this = f"{__file__}::test_processes_keep_the_memory_of_one_video_for_the_next"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", this]
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        ended = subprocess.run(command, capture_output=True, text=True, env={**own, ALONE: "1"})
        assert "1 passed" in ended.stdout, ended.stdout
        return

    def held() -> int:
        pages = Path("/proc/self/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def hold_and_free() -> None:
        ctypes.CDLL(None).malloc_trim(0)  # what this process was forked with counts as well
        views = torch.ones(200_000_000, dtype=torch.uint8)
        before = held()
        del views
        raise DecodeError(f"{(before - held()) / 1e6:.0f} MB")

    unreadable = KeepAll()
    faults = {5: hold_and_free}
    list(loader_of(records, faults=faults, num_workers=1, unreadable=unreadable, timeout_seconds=60.0))
    ((_, _, returned),) = unreadable.told
    assert int(returned.removesuffix(" MB")) < 10


def test_an_iteration_that_was_given_up_leaves_nothing_to_the_next(records):
    loader = loader_of(records, epoch=1)
    first = next(iter(loader))
    loader.sampler.set_epoch(2)
    assert all_same(list(loader), list(loader_of(records, epoch=2)))
    loader.sampler.set_epoch(1)
    assert same(next(iter(loader)), first)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (hang, "decoding took more than 1 s"),
        (wait_in_c, "decoding took more than 1 s"),
        (die_of(signal.SIGSEGV), "the decoder died (SIGSEGV)"),
        (die_of(signal.SIGABRT), "the decoder died (SIGABRT)"),
    ],
)
def test_a_decoder_that_hangs_or_dies_costs_its_video_and_nothing_else(
    records, fault, reason, caplog, tmp_path
):
    sound = list(loader_of(records, num_workers=0))
    policy, begun = KeepAll(), tmp_path / "begun"
    faults = {6: lambda: begun.write_text(str(time.time())) and fault()}
    loader = loader_of(records, faults=faults, unreadable=policy)
    with caplog.at_level(logging.WARNING, logger="gcvideo"):
        batches = list(loader)
    assert caplog.records[0].created - float(begun.read_text()) < 6.0  # the limit and 5 s
    assert policy.told == [(0, "06.mp4", reason)]
    assert [record.message for record in caplog.records] == [
        f"{records[6].path}: {reason}; another process takes over"
    ]
    for found, expected in zip(batches, sound, strict=True):
        kept = [row for row, name in enumerate(expected.video_id) if name != "06.mp4"]
        assert found.video_id == [expected.video_id[row] for row in kept]
        assert torch.equal(found.frames, expected.frames[kept])
        assert torch.equal(found.label, expected.label[kept])


def test_a_video_that_a_process_was_lost_to_is_not_tried_again(records, caplog):
    policy = KeepAll()
    loader = loader_of(records, faults={6: wait_in_c}, unreadable=policy)
    list(loader)
    loader.sampler.set_epoch(1)
    list(loader)
    assert caplog.text.count("another process takes over") == 1
    assert [name for _, name, _ in policy.told] == ["06.mp4", "06.mp4"]


def test_every_video_may_hang_or_die(records):
    policy = KeepAll()
    faults = {index: die_of(signal.SIGABRT) if index % 2 else wait_in_c for index in range(NUM_VIDEOS)}
    loader = loader_of(records, faults=faults, unreadable=policy, timeout_seconds=0.2)
    for batch in loader:
        assert batch.frames.shape == (0, 1, 2, 32, 32, 3)
        assert (batch.label.tolist(), batch.video_id, len(batch.unreadable)) == ([], [], 3)
    assert len(policy.told) == 12


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_unreadable_video_is_missing_from_its_batch(records, num_workers, tmp_path):
    spoiled = list(records)
    spoiled[2] = records[2]._replace(path=tmp_path / "missing.mp4")
    policy = KeepAll()
    sound = list(loader_of(records))
    for found, expected in zip(
        loader_of(spoiled, num_workers=num_workers, unreadable=policy), sound, strict=True
    ):
        kept = [row for row, name in enumerate(expected.video_id) if name != "02.mp4"]
        assert torch.equal(found.frames, expected.frames[kept])
        assert [(record.video_id, reason) for record, reason in found.unreadable] == [
            ("02.mp4", "No such file or directory; expected a video file")
        ] * (3 - len(kept))
    assert policy.told == [(0, "02.mp4", "No such file or directory; expected a video file")]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_unreadable_video_is_an_error_that_names_it(records, num_workers, tmp_path):
    spoiled = [records[0]._replace(path=tmp_path / "missing.mp4"), *records[1:]]
    with pytest.raises(DecodeError, match=r"missing\.mp4: No such file"):
        list(loader_of(spoiled, num_workers=num_workers))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_error_that_is_no_video_s_is_raised_as_it_is(records, num_workers):
    def complain() -> None:
        raise ValueError("crop_size 300 exceeds the short side")

    with pytest.raises(ValueError, match="crop_size 300 exceeds"):
        list(loader_of(records, faults={6: complain}, num_workers=num_workers))


def test_an_unforeseen_error_in_a_worker_ends_the_iteration(records, capfd):
    def stumble() -> None:
        raise KeyError("unforeseen")

    with pytest.raises(ChildProcessError, match="ended with exit code 1; see its own message"):
        list(loader_of(records, faults={6: stumble}))
    assert "KeyError: 'unforeseen'" in capfd.readouterr().err


def alive(pids: list[int]) -> list[int]:
    def runs(pid: int) -> bool:
        status = Path(f"/proc/{pid}/stat")
        return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"

    return [pid for pid in pids if runs(pid)]


def pids_of(loader: VideoLoader) -> list[int]:
    return [worker.process.pid for worker in loader._pool.processes]


def test_workers_outlast_an_epoch_and_end_with_their_loader(records):
    loader = loader_of(records)
    list(loader)
    pids = pids_of(loader)
    list(loader)
    assert pids_of(loader) == pids == alive(pids)
    assert len(pids) == 2
    del loader
    assert alive(pids) == []


def test_workers_ignore_the_signals_that_a_scheduler_sends_to_every_process(records):
    loader = loader_of(records)
    iterator = iter(loader)
    batches = [next(iterator)]
    pids = pids_of(loader)
    for pid in pids:
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            os.kill(pid, number)
    assert all_same(batches + list(iterator), list(loader_of(records)))
    assert pids_of(loader) == pids


@pytest.mark.parametrize("fault", [int, hang])
def test_workers_end_with_a_process_that_is_killed(records, fault, monkeypatch, tmp_path):
    monkeypatch.setattr("gcvideo.processes.ORPHAN_GRACE_SECONDS", 1.0)
    note = tmp_path / "pids"
    child = os.fork()
    if child == 0:
        loader = loader_of(records, faults=dict.fromkeys(range(NUM_VIDEOS), fault), timeout_seconds=2.0)

        def be_killed() -> None:
            while not loader._pool or len(pids_of(loader)) < 2:
                time.sleep(0.05)
            time.sleep(0.5)
            note.write_text(" ".join(map(str, pids_of(loader))))
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=be_killed).start()
        next(iter(loader))
        time.sleep(60)
    os.waitpid(child, 0)
    pids = [int(pid) for pid in note.read_text().split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 30
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert alive(pids) == []


def test_without_workers_a_hanging_decoder_ends_the_run_and_its_file_is_named(records, tmp_path):
    said = tmp_path / "said"
    child = os.fork()
    if child == 0:
        handler = logging.FileHandler(said)
        logging.getLogger("gcvideo").addHandler(handler)
        list(loader_of(records, num_workers=0, faults={6: wait_in_c}))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    assert f"{records[6].path}: decoding took more than 1 s" in said.read_text()


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("pyav", "pyav read 12 files"),
        ("decord", "pyav read 12 files (12: no list says that it is plain)"),
    ],
)
def test_the_log_counts_what_read_the_files(records, caplog, backend, said):
    loader = loader_of(records)
    loader.dataset.backend = backend
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        list(loader)
    assert [record.message for record in caplog.records] == [said]


def test_the_log_names_a_decoder_or_reason_once_in_all_passes(records, caplog):
    loader = loader_of(records, num_workers=0)
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        for backend in ("pyav", "pyav", "decord", "pyav", "decord"):
            loader.dataset.backend = backend
            list(loader)
    because = "pyav read 12 files (12: no list says that it is plain)"
    assert caplog.messages == ["pyav read 12 files", because]
