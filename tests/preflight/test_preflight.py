import resource
import shutil
import threading
import time
from collections import namedtuple
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

from gcvideo.clip import ClipBatch, VideoRecord
from gcvideo.data import VideoDataModule
from gcvideo.distributed import LaunchedRank
from gcvideo.preflight import AbsentError, Rendezvous, resources
from gcvideo.preflight.findings import Status, attempt
from gcvideo.preflight.resources import VERSION_2, check_memory, check_open_files, free_in_groups
from gcvideo.preflight.run_dir import check_run_dir, check_same_run_dir, mark
from gcvideo.preflight.speed import clips_per_second
from gcvideo.preflight.time_limit import within
from gcvideo.preflight.videos import check_listed, evenly
from gcvideo.training import VideoClassifier
from tests.data.annotated import write_dataset

Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [0]), (2, [0, 9]), (4, [0, 3, 6, 9]), (99, list(range(10)))]
)
def test_a_sample_spreads_from_the_first_to_the_last(count, expected):
    records = [VideoRecord(Path(str(i)), i, str(i)) for i in range(10)]
    assert [record.label for record in evenly(records, count)] == expected


def test_work_that_does_not_end_is_given_up_and_what_it_raises_is_raised():
    assert within(5.0, lambda: 3) == 3
    with pytest.raises(KeyError):
        within(5.0, lambda: {}[1])
    never, start = threading.Event(), time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.2 s"):
        within(0.2, never.wait)
    assert time.monotonic() - start < 5
    never.set()


def test_a_check_that_raises_has_failed_and_says_why():
    def work():
        raise OSError("the disk\nis gone")

    assert attempt("lists", work, seconds=5.0) == [("lists", Status.FAILED, "the disk is gone")]


def test_room_for_three_checkpoints_of_weights_and_momentum_is_needed(tmp_path, monkeypatch):
    # 1000 * (999 + 1) weights of 4 bytes, momentum of 4: 8 MB, three times.
    model = VideoClassifier(partial(nn.Linear, 999), [str(label) for label in range(1000)])
    for free, status in [(24_000_000, Status.OK), (23_999_999, Status.FAILED)]:
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, free=free: Usage(0, 0, free))
        assert check_run_dir(tmp_path / "run", model, rank=0, token="w").status is status


def test_a_run_folder_that_cannot_be_made_has_failed(tmp_path):
    (tmp_path / "file").touch()
    model = VideoClassifier(partial(nn.Linear, 1), ["a", "b"])
    (found,) = attempt(
        "run_dir",
        lambda: [check_run_dir(tmp_path / "file" / "run", model, rank=0, token="w")],
        seconds=5.0,
    )
    assert found.status is Status.FAILED
    assert "Not a directory" in found.said


def data_module(tmp_path: Path) -> VideoDataModule:
    """Training clips of 8 x 224 x 224 x 3 bytes, 1.2 MB; a test of 30 views of 8 x 256 x 256 x 3, 47 MB."""
    return VideoDataModule(tmp_path, batch_size=4, num_workers=3)


def test_the_batches_of_all_loader_processes_need_room(tmp_path, monkeypatch):
    # 2 batches ahead of each of 3, one in use, and two copies in each of 3: 13.
    training, test = 2 * 13 * 4 * 8 * 224 * 224 * 3, 2 * 13 * 30 * 8 * 256 * 256 * 3
    statuses = {
        training - 1: (
            Status.FAILED,
            "2 x 3 loader processes hold up to 0.13 GB in training, and 0.13 GB are",
        ),
        test - 1: (
            Status.WARNING,
            "2 x 3 loader processes hold up to 1.23 GB in a test, and 1.23 GB are",
        ),
        test: (Status.OK, "1.23 of 1 GB"),
    }
    for free, (status, said) in statuses.items():
        monkeypatch.setattr(resources, "available_memory", lambda free=free: iter([10**12, free]))
        found = check_memory(data_module(tmp_path), processes_here=2)
        assert (found.status, found.said[: len(said)]) == (status, said)


def test_what_a_container_and_those_around_it_have_left_is_known(tmp_path):
    for folder, limit, current, inactive in [
        ("", "max", 0, 0),
        ("a", "1000", 900, 100),
        ("a/b", "500", 450, 0),
    ]:
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, value in {
            "max": limit,
            "current": current,
            "stat": f"anon 5\ninactive_file {inactive}",
        }.items():
            (tmp_path / folder / f"memory.{name}").write_text(f"{value}\n")
    assert list(free_in_groups(tmp_path, "/a/b", VERSION_2)) == [50, 200]
    assert list(free_in_groups(tmp_path / "a", "/docker/f00", VERSION_2)) == [200]
    assert list(free_in_groups(tmp_path / "nowhere", "/", VERSION_2)) == []


def test_a_limit_on_open_files_that_loader_processes_exceed_has_failed(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        limit = len(list(Path("/dev/fd").iterdir())) + 4
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
        found = check_open_files(data_module(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert found.status is Status.FAILED
    assert "3 loader processes need" in found.said
    assert f"the limit is {limit}; raise it (ulimit -n" in found.said
    assert check_open_files(data_module(tmp_path)).status is Status.OK


def test_an_absent_video_is_found_though_no_sample_has_it_and_warned_of_where_it_may_be_skipped(tmp_path):
    root = write_dataset(tmp_path, train=8, val=1, test=1)
    rows = (root / "train.csv").read_text().splitlines()
    for split, listed in {"train": rows[1:7], "val": rows[7:]}.items():
        (root / f"{split}.csv").write_text("\n".join([rows[0], *listed]) + "\n")
    assert check_listed(VideoDataModule(root, num_workers=0)) == ("listed videos", Status.OK, "8 there")
    (root / "03.mp4").unlink()
    with pytest.raises(ValueError, match=r"train\.csv: 1 of 6 videos are not there: '03\.mp4'"):
        check_listed(VideoDataModule(root, num_workers=0))
    found = check_listed(VideoDataModule(root, num_workers=0, on_error="skip", max_unreadable_share=0.2))
    assert found.status is Status.WARNING
    assert "'03.mp4'; they are counted as unreadable" in found.said


def test_what_an_earlier_preflight_left_does_not_make_a_folder_shared(tmp_path):
    mark(tmp_path, 0).write_text("an earlier token")
    assert check_same_run_dir(tmp_path, token="word").status is Status.FAILED
    mark(tmp_path, 0).write_text("word")
    assert check_same_run_dir(tmp_path, token="word").status is Status.OK


def test_starting_is_not_counted_as_reading():
    def batches():
        time.sleep(0.5)
        for _ in range(100):
            time.sleep(0.05)
            yield ClipBatch(torch.zeros(4, 1, 1, 1, 1, 3, dtype=torch.uint8), torch.zeros(4).long(), [""] * 4)

    of_all = batches()
    next(of_all)
    # 4 clips in 0.05 s or more; a busy machine takes longer, none takes less.
    assert clips_per_second(of_all, seconds=0.3) <= 4 / 0.05


def rendezvous(num_ranks: int) -> list[Rendezvous]:
    """Return that of each rank, which a thread may be."""
    store = distributed.HashStore()
    return [Rendezvous(store, LaunchedRank(rank, num_ranks)) for rank in range(num_ranks)]


def test_ranks_that_say_nothing_are_known_to_all_that_do():
    first, *others = rendezvous(4)
    known: list[list[int]] = []

    def speak() -> None:
        with pytest.raises(AbsentError) as absent:
            others[0].gather("topic", "word", seconds=0.5)
        known.append(absent.value.ranks)

    thread = threading.Thread(target=speak)
    thread.start()
    with pytest.raises(AbsentError) as absent:
        first.gather("topic", "mine", seconds=0.5)
    thread.join(10)
    assert (absent.value.ranks, known) == ([2, 3], [[2, 3]])


@pytest.mark.parametrize("facts", [(True, True), (True, False), (False, True)])
def test_all_agree_only_where_all_do(facts):
    agreed: list[bool] = []
    threads = [
        threading.Thread(target=lambda m=m, f=f: agreed.append(m.all_agree("go", f, seconds=5.0)))
        for m, f in zip(rendezvous(2), facts, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert agreed == [all(facts)] * 2
