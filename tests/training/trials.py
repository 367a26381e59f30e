"""What is done to runs, and how they come out of it: for the tests, and for scripts/reliability.py."""

import json
import shutil
import signal
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from tests.data.annotated import write_dataset
from tests.training.runs import differences, fault, last_checkpoint, run, said, write_config

PRECISE = {"class_path": "gcvideo.training.PreciseBatchNorm", "init_args": {"num_batches": 2}}
SLOW_CLIPS = {"class_path": "tests.training.faults.SlowJitter", "init_args": {"seconds": 0.4}}
NUM_VIDEOS = {"train": 15, "val": 5, "test": 1}
STEPS_PER_EPOCH = {1: 7, 2: 3}
"""Of NUM_VIDEOS in batches of 2, by the number of processes; runs have two epochs."""


class Outcome(NamedTuple):
    """How a run came out of what was done to it."""

    survived: bool
    """It ended as it should, and could be resumed to its end."""
    unlike: list[str]
    """In what it then differs from a run to which nothing was done."""


class Kill(NamedTuple):
    """SIGKILL to all processes when so many steps are done."""

    step: int
    moment: str = "step"
    every: int = 1
    """Steps between two checkpoints."""
    workers: int = 0
    processes: int = 1


def whole_run(folder: Path, root: Path, *, processes: int, **settings: Any) -> Path:
    """The folder of a run to which nothing is done."""
    settings = {"trainer": {"callbacks": [PRECISE]}, **settings}
    codes = run(write_config(folder, root, **settings), processes=processes)
    assert codes == [0] * processes, said(folder)
    return folder


def try_kill(kill: Kill, folder: Path, root: Path, whole: Path, **settings: Any) -> Outcome:
    """Kill a run and resume it."""
    settings = {"trainer": {"callbacks": [PRECISE]}, **settings}
    settings["safeguard"] = {"every_steps": kill.every}
    settings["data"] = {**settings.get("data", {}), "num_workers": kill.workers}
    fatal = fault("Signal", number=int(signal.SIGKILL), step=kill.step, moment=kill.moment)
    codes = run(write_config(folder, root, fatal, **settings), processes=kill.processes)
    assert codes == [-signal.SIGKILL] * kill.processes, said(folder)
    return resume(folder, root, whole, processes=kill.processes, **settings)


def resume(folder: Path, root: Path, whole: Path, *, processes: int, **settings: Any) -> Outcome:
    codes = run(write_config(folder, root, **settings), "--resume", "auto", processes=processes)
    if codes != [0] * processes:
        return Outcome(False, [said(folder)])
    return Outcome(True, differences(folder, whole))


def every_kill(*, workers: int, processes: int) -> Iterator[Kill]:
    """At every step of a run, at its end or while its checkpoint is written, checkpoints near or far."""
    in_epoch = STEPS_PER_EPOCH[processes]
    for step, moment, every in product(range(1, 2 * in_epoch), ("step", "saving"), (1, 3)):
        if moment == "step" or step % every == 0 or step % in_epoch == 0:
            yield Kill(step, moment, every, workers, processes)


class Stop(NamedTuple):
    """A signal to one process, or to all, at some moment."""

    number: signal.Signals
    step: int
    moment: str
    processes: int = 1
    process: int | None = None


def try_stop(stop: Stop, folder: Path, root: Path, whole: Path) -> Outcome:
    """Stop a run in order, which loses one step at most, and resume it."""
    settings = {"data": {"train_transform": SLOW_CLIPS}} if stop.moment == "decoding" else {}
    asked = fault("Signal", number=int(stop.number), step=stop.step, moment=stop.moment, process=stop.process)
    settings["trainer"] = {"callbacks": [PRECISE]}
    codes = run(write_config(folder, root, asked, **settings), processes=stop.processes)
    if codes != [143] * stop.processes:
        return Outcome(False, [f"exit codes {codes}", said(folder)])
    file = folder / "run" / "checkpoints" / "last.ckpt"
    saved = last_checkpoint(folder)["global_step"] if file.exists() else 0
    if not stop.step <= saved <= stop.step + 1:
        return Outcome(False, [f"step {saved} was saved"])
    return resume(folder, root, whole, processes=stop.processes, trainer={"callbacks": [PRECISE]})


def every_stop(*, processes: int) -> Iterator[Stop]:
    """Both signals, to any process and to all, at every kind of moment."""
    last = STEPS_PER_EPOCH[processes]
    moments = [
        (0, "start"),
        (1, "step"),
        (1, "decoding"),
        (last, "validation"),
        (last, "saving"),
        (last + 1, "step"),
    ]
    targets = [0] if processes == 1 else [*range(processes), None]
    for number, (step, moment), process in product((signal.SIGTERM, signal.SIGUSR1), moments, targets):
        yield Stop(number, step, moment, processes, process)


NUM_CLASSES = 7
TEST_SIZES = (1, 7, 21, 100)


def write_hundred_videos(root: Path) -> Path:
    """A hundred videos of seven classes, most of them copies, and lists test-N.csv of the first N."""
    write_dataset(root, train=16, val=1, test=1)
    names = [f"{index:02d}.mp4" for index in range(100)]
    for index in range(16, 100):
        shutil.copy(root / names[index % 16], root / names[index])
    (root / "classes.txt").write_text("".join(f"class {k}\n" for k in range(NUM_CLASSES)))
    for num_videos in TEST_SIZES:
        rows = [f"{name},{index * index % NUM_CLASSES}" for index, name in enumerate(names[:num_videos])]
        (root / f"test-{num_videos}.csv").write_text("\n".join(["path,label", *reversed(rows)]) + "\n")
    return root


def train_checkpoint(folder: Path, root: Path) -> Path:
    """Of a network that is of different minds about different videos."""
    assert run(write_config(folder, root, model={"learning_rate": 5.0})) == [0], said(folder)
    return folder / "run" / "checkpoints" / "last.ckpt"


class Evaluation(NamedTuple):
    metrics: dict[str, float]
    table: pd.DataFrame | None
    """predictions.csv of a test."""


def evaluate(
    folder: Path, root: Path, checkpoint: Path, *, num_videos: int, processes: int, command: str = "test"
) -> Evaluation:
    """`gcvideo test` or `validate` of so many videos on so many processes."""
    lists = {"test": f"test-{num_videos}.csv", "val": f"test-{num_videos}.csv"}
    config = write_config(folder, root, data=lists)
    codes = run(config, "--ckpt_path", str(checkpoint), command=command, processes=processes)
    assert codes == [0] * processes, said(folder)
    stage = {"test": "test", "validate": "val"}[command]
    metrics = json.loads((folder / "run" / f"{stage}_metrics.json").read_text())
    table = folder / "run" / "predictions.csv"
    return Evaluation(metrics, pd.read_csv(table) if command == "test" else None)
