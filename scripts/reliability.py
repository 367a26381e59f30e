#!/usr/bin/env python3
"""Measure what docs/reliability.md states, and print its tables."""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tests' files are no package's

from sections import parse_sections  # noqa: E402

from data_prep.running.workers import run_killable  # noqa: E402

Row = Sequence[object]
FILE_SECONDS = 120.0
DAMAGED_FILES = 60


class Table(NamedTuple):
    """A table of docs/reliability.md."""

    title: str
    columns: Row
    rows: list[Row]

    def markdown(self) -> str:
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return f"**{self.title}**\n\n" + "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


class Task(NamedTuple):
    """A file to try: one that the tests make, called by its name, or one that is there."""

    group: str
    name: str
    path: Path


def decoding(options: argparse.Namespace) -> Table:
    """Every frame of every kind of file, in every order, against one decode from the first to the last."""
    from tests.data.corpus import CORPUS

    with tempfile.TemporaryDirectory() as folder:
        tasks = [Task(kind.group, name, Path(folder) / name) for name, kind in CORPUS.items()]
        if options.videos:
            there = sorted(path for path in options.videos.rglob("*") if path.is_file())
            tasks += [Task("real videos", "", path) for path in there]
        counts: dict[str, Counter[str]] = {task.group: Counter() for task in tasks}
        outcomes = run_killable(try_one, tasks, num_workers=options.workers, time_limit_seconds=FILE_SECONDS)
        for task, results, fault in outcomes:
            count = counts[task.group]
            count["files"] += 1
            if fault is not None:
                count["hangs and deaths"] += 1
                say(f"{task.path}: {fault}")
                continue
            (trial,) = results
            count["picks compared"] += trial.num_picks
            count["wrong"] += trial.num_wrong
            count["errors"] += trial.num_errors
            for reason in trial.faults:
                say(f"{task.path}: {reason}")
    columns = ("files", "picks compared", "wrong", "errors", "hangs and deaths")
    counts["all"] = sum(counts.values(), Counter())
    rows = [(group, *(f"{count[name]:,}" for name in columns)) for group, count in counts.items()]
    return Table("Frames asked for and frames that came", ("kind of file", *columns), rows)


def try_one(task: Task) -> Iterator[object]:
    """Return what one file gives, in a process that may hang."""
    from tests.data.corpus import CORPUS, try_file

    kind = CORPUS.get(task.name)
    if kind is not None:
        kind.write(task.path)
    yield try_file(task.path, kind.numbers if kind is not None else None)


def damage(options: argparse.Namespace) -> Table:
    """Files of five codecs with a few bits flipped, with a verified list of the sound ones and without."""
    from tests.data.damage import CODECS, try_damaged

    rows = []
    with tempfile.TemporaryDirectory() as name:
        for codec in CODECS:
            counts = Counter(try_damaged(Path(name), codec, num_files=DAMAGED_FILES))
            listed = Counter(try_damaged(Path(name), codec, num_files=DAMAGED_FILES, is_verified=True))
            alone = (counts[outcome] for outcome in ("error", "right", "off", "far off"))
            rows.append((codec, DAMAGED_FILES, counts.total(), *alone, listed["error"]))
    columns = ("codec", "damaged files", "pictures asked for", "errors", "right", "a pixel off", "all off")
    return Table("Flipped bits", (*columns, "errors, of a verified list"), rows)


def kills(options: argparse.Namespace) -> Table:
    """SIGKILL at every step, between two steps and while a checkpoint is written; then `--resume auto`."""
    from tests.training.trials import every_kill, try_kill

    return tried(
        "Runs killed and resumed",
        {(p, w): list(every_kill(processes=p, workers=w)) for p in (1, 2) for w in (0, 2)},
        try_kill,
        columns=(
            "processes",
            "loader processes of each",
            "kills",
            "survived",
            "identical to one never killed",
        ),
    )


def signals(options: argparse.Namespace) -> Table:
    """SIGTERM and SIGUSR1 to any process and to all, at every kind of moment; then `--resume auto`."""
    from tests.training.trials import every_stop, try_stop

    return tried(
        "Runs stopped by a signal and resumed",
        {(p,): list(every_stop(processes=p)) for p in (1, 2)},
        try_stop,
        columns=("processes", "signals", "saved, ended with 143", "identical to one never stopped"),
    )


def tried(title: str, trials: dict[Row, list], attempt: Callable, *, columns: Row) -> Table:
    """How the runs of every kind came out; the first number of a kind is that of its processes."""
    from tests.data.annotated import write_dataset
    from tests.training.trials import NUM_VIDEOS, whole_run

    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = write_dataset(folder / "videos", **NUM_VIDEOS)
        whole = {
            processes: whole_run(folder / f"whole {processes}", root, processes=processes)
            for processes in (1, 2)
        }
        for kind, tasks in trials.items():
            outcomes = []
            for task in tasks:
                outcome = attempt(task, folder / f"{kind} {len(outcomes)}", root, whole[kind[0]])
                outcomes.append(outcome)
                if outcome.unlike:
                    say(f"{task}: {outcome.unlike}")
            survived = [outcome for outcome in outcomes if outcome.survived]
            identical = [outcome for outcome in survived if not outcome.unlike]
            rows.append((*kind, len(outcomes), len(survived), len(identical)))
    return Table(title, columns, rows)


def processes(options: argparse.Namespace) -> Table:
    """`gcvideo test` on several processes beside one."""
    from tests.training.trials import TEST_SIZES, evaluate, train_checkpoint, write_hundred_videos

    names = ("test/top1", "test/top5", "test/loss")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = write_hundred_videos(folder / "videos")
        checkpoint = train_checkpoint(folder / "trained", root)
        for num_videos in TEST_SIZES:
            one, *several = (
                evaluate(folder / f"{num_videos} {n}", root, checkpoint, num_videos=num_videos, processes=n)
                for n in (1, 2, 3)
            )
            for n, found in enumerate(several, start=2):
                apart = [f"{abs(found.metrics[name] - one.metrics[name]):.0e}" for name in names]
                same_table = list(found.table["video"]) == list(one.table["video"])
                rows.append((num_videos, n, *apart, "yes" if same_table else "NO"))
    columns = ("videos", "processes", "top-1 apart", "top-5 apart", "loss apart", "every video once, sorted")
    return Table("A test on several processes beside one", columns, rows)


FAULTS = {
    "loss infinite in one of two processes": (
        "test_safeguard.py::test_a_loss_that_is_not_finite_stops_all_processes_and_names_its_videos",
        "all stop before the step changes a weight; step, process and videos named; nothing saved after",
    ),
    "one gradient NaN": (
        "test_safeguard.py::test_a_gradient_that_is_not_finite_stops_the_run_though_the_loss_is",
        "the same",
    ),
    "one process of two or three killed": (
        "test_lost_process.py::test_a_process_that_dies_is_named_by_the_others_which_end",
        "the others end within a minute and name it",
    ),
    "one process hangs": (
        "test_lost_process.py::test_a_process_that_hangs_is_named_when_the_time_limit_of_the_others_is_over",
        "the same, after the time limit",
    ),
    "a process killed under torchrun, ten runs": (
        "test_lost_process.py::test_ten_of_ten_runs_that_torchrun_starts_again_end_as_one_never_stopped",
        "started again; all end as one never stopped",
    ),
    "killed at random while a checkpoint is written, 20 times": (
        "test_checkpoint_file.py::test_twenty_kills_leave_twenty_whole_files",
        "a whole file, the newest or the one before it",
    ),
    "disk full; no permission": (
        "test_checkpoint_file.py::test_where_a_file_cannot_be_written_an_error_says_so_and_the_older_one_stays",
        "one line that says so; the older checkpoint stays",
    ),
    "checkpoint cut short; one bit flipped": (
        "test_checkpoint_file.py -k short_is_told or flipped",
        "never loaded; `--resume auto` passes it over and says so",
    ),
    "checkpoint whose pickle would run code": (
        "test_checkpoint_file.py::test_a_file_that_would_run_code_is_refused",
        "refused; nothing is run",
    ),
}
"""What is done, the test that does it, and the outcome that the test holds it to."""


def faults(options: argparse.Namespace) -> Table:
    """Every fault by its test."""
    rows = []
    for fault, (test, outcome) in FAULTS.items():
        node, _, selected = test.partition(" -k ")
        command = [sys.executable, "-m", "pytest", "-q", "--tb=short", f"tests/training/{node}"]
        done = subprocess.run(
            [*command, *(["-k", selected] if selected else [])], cwd=ROOT, capture_output=True, text=True
        )
        passed = re.search(r"(\d+) passed", done.stdout)
        if done.returncode != 0:
            say(done.stdout)
        rows.append((fault, passed[1] if passed else 0, outcome if done.returncode == 0 else "NOT AS STATED"))
    return Table("Faults and their outcome", ("fault", "tests passed", "outcome"), rows)


SECTIONS: dict[str, Callable[[argparse.Namespace], Table]] = {
    "decoding": decoding,
    "damage": damage,
    "kills": kills,
    "signals": signals,
    "processes": processes,
    "faults": faults,
}


def say(message: str) -> None:
    sys.stderr.write(f"{message}\n")


def main() -> None:
    """Print the tables as Markdown; what went wrong goes to standard error as it is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, help="folder of real videos to try as well")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    options = parse_sections(parser, SECTIONS)
    for name in options.sections:
        sys.stdout.write(SECTIONS[name](options).markdown() + "\n\n")


if __name__ == "__main__":
    main()
