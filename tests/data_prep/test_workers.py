import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_prep.running.shards import allowed_processors
from data_prep.running.workers import run_killable


def act(item: str) -> Iterator[str]:
    """Yields twice, with something worse between where the item says so."""
    yield f"{item} begun"
    if item == "hangs":
        time.sleep(3600)
    if item == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == "raises":
        raise ValueError(item)
    yield f"{item} done"


def deaf(item: str) -> Iterator[str]:
    """Hangs where no Python signal handler is ever run."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(60)
    yield item


def test_a_hang_or_a_crash_ends_its_own_call_only_and_what_came_before_is_kept() -> None:
    items = ["a", "hangs", "b", "crashes", "c", "raises", "d"]
    outcomes = {
        outcome.item: outcome for outcome in run_killable(act, items, num_workers=2, time_limit_seconds=1.5)
    }
    assert outcomes.keys() == set(items)
    assert outcomes["hangs"].fault == "no answer within 1.5 s"
    assert outcomes["crashes"].fault == "the process was killed by SIGSEGV"
    assert outcomes["raises"].fault == "the process ended with exit code 1"
    for item in ("hangs", "crashes", "raises"):
        assert outcomes[item].results == [f"{item} begun"]
    for item in "abcd":
        assert outcomes[item] == (item, [f"{item} begun", f"{item} done"], None)


def be_killed(item: Path) -> Iterator[str]:
    """Killed by SIGKILL the first time, or always; tells what else runs meanwhile."""
    if item.name == "always" or (item.name == "once" and not item.exists()):
        item.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    yield item.name


def test_what_is_killed_by_the_system_is_called_once_more_when_all_else_is_done(tmp_path, caplog) -> None:
    items = [tmp_path / name for name in ("once", "a", "always", "b", "c")]
    outcomes = list(run_killable(be_killed, items, num_workers=2, time_limit_seconds=30.0))
    assert {outcome.item.name for outcome in outcomes[:3]} == {"a", "b", "c"}
    assert sorted(outcomes[3:], key=lambda outcome: outcome.item) == [
        (
            tmp_path / "always",
            [],
            "the process was killed (SIGKILL), as the kernel does where memory is short",
        ),
        (tmp_path / "once", ["once"], None),
    ]
    assert caplog.text.count("as the kernel does where memory is short; again later, alone") == 2


def be_stopped(item: Path) -> Iterator[str]:
    """Stopped by a signal the first time, where its name says so."""
    if item.name == "stops" and not item.exists():
        item.touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    yield item.name


def test_what_is_stopped_by_a_signal_is_called_once_more_too(tmp_path, caplog) -> None:
    items = [tmp_path / "stops", tmp_path / "a"]
    outcomes = list(run_killable(be_stopped, items, num_workers=2, time_limit_seconds=2.0))
    assert outcomes == [(tmp_path / "a", ["a"], None), (tmp_path / "stops", ["stops"], None)]
    assert caplog.messages == [
        f"{items[0]}: the process was stopped by a signal for more than 2 s; again later, alone"
    ]


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0, and at most 1,000,000"):
        list(run_killable(act, ["a"], num_workers=1, time_limit_seconds=limit))


def test_a_call_that_hears_no_signal_is_killed_all_the_same() -> None:
    [outcome] = run_killable(deaf, ["x"], num_workers=1, time_limit_seconds=0.5)
    assert outcome == ("x", [], "no answer within 0.5 s")


def test_no_worker_outlives_a_run_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        f"""
import os, sys, time
sys.path[:0] = {[str(path) for path in Path(__file__).parents[2:3]]!r}
import pytest

from data_prep.running.shards import allowed_processors
from data_prep.running.workers import run_killable

def name(item):
    yield os.getpid()
    time.sleep(0.2)

if __name__ == "__main__":
    for outcome in run_killable(name, range(1000), num_workers=2, time_limit_seconds=9):
        print(outcome.results[0], flush=True)
"""
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        workers = {int(process.stdout.readline()) for _ in range(6)}
        process.kill()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, f"{workers} live on"
        time.sleep(0.05)


def test_nothing_to_do_starts_no_process() -> None:
    assert list(run_killable(act, [], num_workers=4, time_limit_seconds=1)) == []


def test_a_job_has_as_many_workers_as_it_may_use_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {3, 5, 7}, raising=False)
    assert allowed_processors() == 3
