#!/usr/bin/env python3
"""Train the networks of the paper's table on small data with several seeds, and say what can be told apart.

    python scripts/study.py runs/study --folder fights=PATH --floor fights=0.74
    python scripts/study.py runs/study --folder fights=PATH --floor fights=0.74 --report scripts/docs/study.md

The first command trains, tests and measures whatever has not been finished, by `gcvideo fit`, `test` and
`attention`; stop it at any time, and give it again to go on. A finished run is one small JSON file in
--results: copy that folder to another machine, and the study goes on there. The second writes tables and
plots of what is there. A folder holds train.csv, val.csv, classes.txt and videos, none of which is copied;
without test.csv val.csv is tested, by the last checkpoint, which those videos did not choose.
"""

import argparse
import shlex
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that the script runs from anywhere

# What pytorchvideo's parts call; gcvideo's commands leave it out likewise.
warnings.filterwarnings("ignore", message=r"`torch\.jit\.script` is deprecated")

from studying.control import TASKS, control  # noqa: E402
from studying.plan import INSTANTIATIONS, QUICK, ROWS, DataSet, Job, Settings, jobs  # noqa: E402
from studying.records import Records, circumstances  # noqa: E402
from studying.report import write_report  # noqa: E402
from studying.running import CommandError, Study  # noqa: E402

from gcvideo.data.synthetic import CLASSES  # noqa: E402
from gcvideo.terminal import Terminal  # noqa: E402

CONTROL_STEPS = 400
EVALUATED = {"num_val_per_class": 8, "num_test_per_class": 12}
MOTION = {"motion_small": 16, "motion_large": 48}
"""Training videos of each of the 8 classes; the test videos are the same."""


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    results = options.results or options.out / "results"
    records, controls = Records(results / "runs"), Records(results / "control")
    try:
        sets = _data_sets(options)
        study = Study(
            options.out, records, _settings(options), num_measured=2 if options.quick else 32,
            keep=options.keep,
        )  # fmt: skip
        planned = _planned(options, sets)
        if options.report is None:
            _run_control(controls, options)
            _run(study, planned, options)
        else:
            missing = [job.name for job in planned if not study.is_finished(job)]
            order = list(dict.fromkeys(job.kind for job in planned))
            found = sorted(
                (record for record in records.all() if record["row"] in order),
                key=lambda record: (list(sets).index(record["data"]) if record["data"] in sets else 99,
                                    order.index(record["row"]), record["seed"]),
            )  # fmt: skip
            floors = {data.name: data.floor for data in sets.values() if data.floor}
            write_report(
                found, list(controls.all()), missing=missing, page=options.report, floors=floors,
                command=_continuing(options),
            )  # fmt: skip
            Terminal(stderr=True).print(
                f"wrote {options.report}: {len(found)} runs, {len(missing)} not run yet"
            )
    except (ValueError, CommandError) as error:
        print(f"study: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("study: stopped; the same command goes on", file=sys.stderr)
        return 130
    return 0


def _run(study: Study, planned: Sequence[Job], options: argparse.Namespace) -> None:
    """Run what is not finished, with one bar over the whole, in training videos and epochs."""
    ready = {job.name for job in planned if study.is_finished(job)}
    started_from = {job.before.name for job in planned if job.before and job.name not in ready}
    sizes = {job.data.name: _num_videos(job.data) for job in planned}
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[runs]}")
    bar = Progress(
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Terminal(stderr=True),
        speed_estimate_period=3600,  # seconds: a run takes minutes
    )
    waiting = [job for job in planned if job.name not in ready]
    deadline = time.monotonic() + 60 * options.minutes
    with bar:
        work = sum(sizes[job.data.name] for job in waiting)
        task = bar.add_task("study", total=max(work, 1), completed=0, runs=f"{len(ready)}/{len(planned)}")
        done = 0
        for number, job in enumerate(waiting, start=1):
            if time.monotonic() > deadline:
                bar.console.print(f"--minutes {options.minutes:g} are over; the same command goes on")
                return
            bar.update(task, description=job.name, completed=done)
            study.make(job.data)
            size = sizes[job.data.name]
            record = study.run(
                job,
                starts_others=job.name in started_from,
                tell=lambda share, so_far=done, size=size: bar.update(task, completed=so_far + share * size),
            )
            done += size
            bar.update(task, completed=done, runs=f"{len(ready) + number}/{len(planned)}")
            bar.console.print(
                f"{job.name}: {100 * record['accuracy']:.1f} %, {record['seconds']['fit']} s",
            )


def _run_control(controls: Records, options: argparse.Namespace) -> None:
    steps = 30 if options.quick else CONTROL_STEPS
    digest = f"{steps} steps"
    names = INSTANTIATIONS[:1] if options.quick else INSTANTIATIONS
    wanted = [(task, name, seed) for name in names for task in TASKS for seed in range(options.seeds)]
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Terminal(stderr=True)) as bar:
        shown = bar.add_task("control", total=len(wanted))
        for number, (task, instantiation, seed) in enumerate(wanted):
            name = f"{task}/{instantiation}/seed{seed}"
            if controls.read(name, digest=digest) is None:
                found = control(
                    task, instantiation, seed=seed, num_steps=steps,
                    tell=lambda share, number=number: bar.update(shown, completed=number + share),
                )  # fmt: skip
                controls.write(name, {"digest": digest, **found, **circumstances()})
            bar.update(shown, completed=number + 1)


def _data_sets(options: argparse.Namespace) -> dict[str, DataSet]:
    """Return the data sets by name: the folders that were given, then the embedded ones.

    Raises:
        ValueError: A folder lacks its lists, or a floor is of no folder.
    """
    floors = dict(_named(option) for option in options.floor)
    sets = {}
    for option in options.folder:
        name, path = _named(option)
        root = Path(path)
        for needed in ("train.csv", "val.csv", "classes.txt"):
            if not (root / needed).is_file():
                raise ValueError(f"--folder {name}={root}: there is no {needed} in it")
        test = "test.csv" if (root / "test.csv").is_file() else "val.csv"
        floor = float(floors.pop(name, 0.0)) or None
        sets[name] = DataSet(name, "folder_small", root, test, floor, is_real=True)
    if floors:
        raise ValueError(f"--floor names {', '.join(floors)}, and --folder {', '.join(sets) or 'nothing'}")
    for name, num_train in MOTION.items():
        sizes = {"num_train_per_class": num_train, **EVALUATED}
        if options.quick:
            sizes = {
                "num_train_per_class": 1,
                "num_val_per_class": 1,
                "num_test_per_class": 1,
                "num_frames": 8,
            }
        sets[name] = DataSet(name, "synthetic", options.out / "data" / name, synthetic=sizes)
    unknown = set(options.sets or ()) - set(sets)
    if unknown:
        raise ValueError(f"--sets names {', '.join(unknown)}; there are {', '.join(sets)}")
    return sets


def _planned(options: argparse.Namespace, sets: dict[str, DataSet]) -> list[Job]:
    chosen = [sets[name] for name in options.sets or sets]
    start = sets["motion_large"] if options.fine_tune else None
    return list(jobs(chosen, rows=options.rows, seeds=range(options.seeds), start=start))


def _settings(options: argparse.Namespace) -> Settings:
    given = dict(_named(option) for option in options.set)
    more = {**(QUICK if options.quick else {}), **given}
    return Settings(precision=options.precision, num_workers=options.workers, arguments=more)


def _num_videos(data: DataSet) -> int:
    """Return how many training videos there are, or will be."""
    if data.synthetic is not None:
        return data.synthetic["num_train_per_class"] * len(CLASSES)
    return max(len((data.root / "train.csv").read_text().splitlines()) - 1, 1)


def _named(option: str) -> tuple[str, str]:
    name, is_one, value = option.partition("=")
    if not is_one:
        raise ValueError(f"{option}: expected NAME=VALUE")
    return name, value


def _continuing(options: argparse.Namespace) -> str:
    """Return the command that goes on with the study, with paths of the user's in words."""
    words = ["python scripts/study.py OUT"]
    words += [f"--folder {_named(option)[0]}=PATH" for option in options.folder]
    words += [f"--floor {option}" for option in options.floor]
    words += [f"--precision {options.precision}", "--results scripts/docs/study"]
    words += [f"--set {shlex.quote(option)}" for option in options.set]
    return " ".join(words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("out", type=Path, help="folder for embedded data, runs and logs")
    add("--results", type=Path, help="folder of the results (default: OUT/results)")
    add("--folder", action="append", default=[], metavar="NAME=PATH", help="a data set of real videos")
    floor = "the accuracy, 0..1, that networks have to pass on it"
    add("--floor", action="append", default=[], metavar="NAME=SHARE", help=floor)
    add("--sets", nargs="+", help="only these data sets, the foremost first")
    rows = f"only these rows, of {', '.join(ROWS)}"
    add("--rows", nargs="+", choices=[*ROWS], default=[*ROWS], metavar="ROW", help=rows)
    add("--seeds", type=int, default=3, help="seeds of each row (default: 3)")
    tuned = "leave out the row that is trained on motion_large first"
    add("--no_fine_tune", dest="fine_tune", action="store_false", help=tuned)
    precision = "trainer.precision; bf16-mixed is for processors with AMX (default: 32-true)"
    add("--precision", default="32-true", help=precision)
    add("--workers", type=int, default=1, help="loader processes of a run (default: 1)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="an argument of all `gcvideo fit`")
    add("--minutes", type=float, default=float("inf"), help="start no run after so many minutes")
    add("--keep", action="store_true", help="keep the checkpoints of finished runs")
    add("--quick", action="store_true", help="tiny networks and data: to try it")
    page = "run nothing; write this Markdown page of the results, and plots in pictures/ beside it"
    add("--report", type=Path, metavar="PAGE", help=page)
    return parser


if __name__ == "__main__":
    # Behind nohup and & a script does not hear of SIGINT, and by SIGTERM it would leave its command running.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    sys.exit(main())
