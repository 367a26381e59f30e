#!/usr/bin/env python3
"""Measure what the README's section "Reliability" states, and print its tables."""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the tests' files are no package's

from data_prep.workers import run_killable

Row = Sequence[object]
FILE_SECONDS = 120.0


class Table(NamedTuple):
    """A table of the README."""

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
    """What one file gives, in a process that may hang."""
    from tests.data.corpus import CORPUS, try_file

    kind = CORPUS.get(task.name)
    if kind is not None:
        kind.write(task.path)
    yield try_file(task.path, kind.numbers if kind is not None else None)


SECTIONS: dict[str, Callable[[argparse.Namespace], Table]] = {"decoding": decoding}


def say(message: str) -> None:
    sys.stderr.write(f"{message}\n")


def main() -> None:
    """Print the tables as Markdown; what went wrong goes to standard error as it is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--videos", type=Path, help="folder of real videos to try as well")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    for name in options.sections:
        sys.stdout.write(SECTIONS[name](options).markdown() + "\n\n")


if __name__ == "__main__":
    main()
