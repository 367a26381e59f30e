"""`gcvideo preflight` on machines that are well, and on machines of which some are not."""

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gcvideo.cli import main
from tests.journey.machines import on_machines, other_configuration, other_version, write_machines

TIMEOUT_SECONDS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_machines(tmp_path_factory.mktemp("machines"))


def preflight(folder: Path, *arguments: str, **settings: Any) -> tuple[list[int | None], str]:
    brief = ["--preflight.measure_seconds=0.2", f"--preflight.timeout_seconds={TIMEOUT_SECONDS}"]
    return on_machines("preflight", folder, *brief, *arguments, **settings)


def failures(said: str) -> list[tuple[str, str]]:
    """What failed, by rank and check."""
    return re.findall(r"^FAILED: rank (\d+)(?: on \S+)?: ([^:]+)", said, re.MULTILINE)


def test_machines_that_are_well_pass(folder):
    codes, said = preflight(folder)
    assert (codes, failures(said)) == ([0, 0], []), said
    assert "preflight: nothing is wrong" in said
    assert len(re.findall(r"13 read +\d+ GB free +[-+]\d+ ms +\d+\.\d\d GB/s", said)) == 2
    assert len(re.findall(r"\d\.\d\d of \d+ GB +\d+ of \d+ ", said)) == 2
    assert len(re.findall(r"clips/s +$", said, re.MULTILINE)) == 2
    assert not list((folder / "run").glob(".preflight*"))


def other_clock() -> None:
    now = time.time
    time.time = lambda: now() + 100


def test_every_machine_that_differs_is_named_and_no_other(folder):
    faults = {1: other_version, 2: other_configuration, 3: other_clock}
    absent = folder / "machine2" / "videos" / "03.mp4"
    absent.rename(absent.with_suffix(".away"))
    codes, said = preflight(folder, ranks=5, faults=faults)
    absent.with_suffix(".away").rename(absent)
    found = {("1", "versions"), ("2", "config"), ("3", "clock"), ("3", "files"), ("4", "videos")}
    found |= {("2", "listed videos"), ("2", "videos")}
    assert (codes, set(failures(said))) == ([1] * 5, found), said
    assert f"versions: torch is 1.0, elsewhere {metadata.version('torch')}" in said
    assert "config: model.learning_rate is 0.2, elsewhere 0.5" in said
    assert "listed videos: videos/train.csv: 1 of 10 videos are not there: '03.mp4' below" in said
    assert "clock: is +100.0 s from that of rank 0" in said
    assert re.search(r"files: train list is 10 videos \(\w+\), elsewhere 10 videos", said)
    assert re.search(r"videos: 1 of 13 cannot be read, such as \S+machine4/videos/09.mp4: .*empty", said)


def test_a_run_folder_that_is_not_shared_is_found(folder):
    codes, said = preflight(folder, "--run_dir", "run_here")
    assert (codes, failures(said)) == ([1, 1], [("1", "run_dir")]), said


def refused() -> None:
    sys.argv.append("--data.batch_size=many")


def no_data() -> None:
    sys.argv.append("--data.root=elsewhere")


def test_a_machine_on_which_the_run_cannot_be_put_together_is_named(folder):
    codes, said = preflight(folder, ranks=3, faults={1: refused, 2: no_data})
    assert codes == [1, 1, 1], said
    assert failures(said) == [("1", "config"), ("2", "config")], said
    assert "elsewhere/train.csv: no such file" in said


def hang() -> None:
    time.sleep(1000)


def freeze_in_all_reduce() -> None:
    _instead_of_all_reduce(lambda *_, **__: os.kill(os.getpid(), signal.SIGSTOP))


def die_in_all_reduce() -> None:
    _instead_of_all_reduce(lambda *_, **__: os._exit(9))


def _instead_of_all_reduce(work: Callable[..., None]) -> None:
    from gcvideo.preflight import inspection

    inspection.check_all_reduce = work


def no_exchange() -> None:
    torch.distributed.all_reduce = lambda tensor: None


@pytest.mark.slow
def test_an_exchange_that_gives_a_wrong_sum_has_failed(folder):
    codes, said = preflight(folder, faults={0: no_exchange, 1: no_exchange})
    assert (codes, failures(said)) == ([1, 1], [("0", "all-reduce"), ("1", "all-reduce")]), said
    assert "the sum of 1..2 came out as [2.0]" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "code"), [(hang, None), (freeze_in_all_reduce, None), (die_in_all_reduce, 9)]
)
def test_a_process_that_is_not_heard_from_is_named_in_time(folder, fault, code):
    start = time.monotonic()
    codes, said = preflight(folder, faults={1: fault})
    assert codes == [1, code], said
    assert ("1", "process") in failures(said), said
    # Beside the limit: starting the command, what is done before, and 5 s of waiting for rank 1 here.
    assert time.monotonic() - start < TIMEOUT_SECONDS + 40


@pytest.mark.slow
def test_without_rank_0_the_others_end_in_time(folder):
    codes, said = preflight(folder, faults={0: freeze_in_all_reduce}, waited_for=1)
    assert codes[0] is None
    assert codes[1] == 1, said
    assert "rank 1: nothing was heard from rank 0, which prints the report" in said


def test_one_process_alone_is_checked(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder / "machine4")
    command = ["preflight", "--config", str(folder / "run.yaml"), "--preflight.measure_seconds=0.1"]
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert (ended.value.code, failures(capsys.readouterr().out)) == (1, [("0", "videos")])
    monkeypatch.chdir(folder / "machine1")
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 0


class Sleepy(nn.Module):
    """A network that takes a tenth of a second for a batch."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(3, num_classes)

    def forward(self, clip: Tensor) -> Tensor:
        time.sleep(0.1)
        return self.head(clip.mean((2, 3, 4)))


def test_a_loader_that_lets_the_step_wait_is_slow_and_not_wrong(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder / "machine1")
    command = ["preflight", "--config", str(folder / "run.yaml"), "--preflight.measure_seconds=1"]
    slowly = ["--data.train_transform=tests.training.faults.SlowJitter"]
    slowly += ["--data.train_transform.init_args.seconds=0.5"]
    with pytest.raises(SystemExit) as ended:
        main([*command, *slowly, "--model.network=tests.journey.test_preflight.Sleepy"])
    said = capsys.readouterr().out
    assert ended.value.code == 0, said
    # 2 clips in 1 s or more, and 2 in 0.1 s or more: a busy machine takes longer, none takes less.
    reads, uses = map(float, re.findall(r"reads (\S+) clips/s and a step uses ([^,\s]+),", said)[0])
    assert 0 < reads <= 2
    assert reads < uses <= 20


def test_settings_that_make_no_sense_are_refused(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder / "machine0")
    with pytest.raises(SystemExit) as ended:
        main(["preflight", "--config", str(folder / "run.yaml"), "--preflight.num_videos=0"])
    assert ended.value.code == 1
    assert "preflight.num_videos is 0; expected more than 0" in capsys.readouterr().err
