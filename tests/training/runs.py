"""Runs of the real command, in processes of their own that may be killed."""

import json
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch
import yaml

VIEWS = {"num_clips": 1, "num_crops": 1, "short_side": 32, "crop_size": 32}
DATA = {
    "clip": {"num_frames": 4, "stride": 1},
    "train_transform": {
        "class_path": "gcvideo.data.ScaleJitter",
        "init_args": {"crop_size": 32, "min_short_side": 32, "max_short_side": 40},
    },
    "val_views": VIEWS,
    "test_views": {**VIEWS, "num_clips": 2},
    "blend": ["mixup", "cutmix"],
    "batch_size": 2,
    "num_workers": 0,
}
MODEL = {"network": {"class_path": "tests.training.networks.TwoLayers"}, "learning_rate": 0.5}
TRAINER = {
    "accelerator": "cpu",
    "max_epochs": 2,
    "enable_progress_bar": False,
    "log_every_n_steps": 1,
    "num_sanity_val_steps": 0,
}

context = multiprocessing.get_context("forkserver")
# What takes seconds to import is imported once, and every process of a run is there at once.
context.set_forkserver_preload(["gcvideo.cli.run", "tests.training.faults"])


def write_config(folder: Path, root: Path, *faults: dict[str, Any], **sections: dict[str, Any]) -> Path:
    """The configuration of a run on the videos of `root`, with a record, `faults` and other settings."""
    record = {"class_path": "tests.training.faults.Record", "init_args": {"folder": str(folder / "record")}}
    config: dict[str, Any] = {
        "seed_everything": 3,
        "run_dir": str(folder / "run"),
        "data": {**DATA, "root": str(root), **sections.pop("data", {})},
        "model": {**MODEL, **sections.pop("model", {})},
        "trainer": {**TRAINER, **sections.pop("trainer", {})},
        **sections,
    }
    config["trainer"]["callbacks"] = [record, *config["trainer"].get("callbacks", []), *faults]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


def fault(name: str, **settings: Any) -> dict[str, Any]:
    return {"class_path": f"tests.training.faults.{name}", "init_args": settings}


def start(
    config: Path,
    *arguments: str,
    command: str = "fit",
    processes: int = 1,
    environment: dict[str, str] | None = None,
) -> list[ForkServerProcess]:
    """`gcvideo fit --config CONFIG ...` in processes that find each other as torchrun's do.

    What process r says is appended to said.r beside the configuration.
    """
    line = [command, "--config", str(config), f"--trainer.devices={processes}", *arguments]
    return start_line(line, folder=config.parent, processes=processes, environment=environment)


def start_line(
    line: Sequence[str], *, folder: Path, processes: int = 1, environment: dict[str, str] | None = None
) -> list[ForkServerProcess]:
    """`gcvideo LINE` in processes that find each other; what process r says is appended to said.r."""
    shared = {"OMP_NUM_THREADS": "1", **(environment or {})}
    if processes > 1:
        shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        shared |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes), "GROUP_RANK": "0"}
        shared |= {"TORCHELASTIC_RUN_ID": "test"}
    started = []
    for rank in range(processes):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {}
        process = context.Process(target=_be, args=(list(line), shared | own, folder / f"said.{rank}"))
        process.start()
        started.append(process)
    return started


def finish(started: Sequence[ForkServerProcess], *, seconds: float = 300.0) -> list[int | None]:
    """The exit codes; None of a process that is still there, which is killed."""
    for process in started:
        process.join(seconds)
    codes = [process.exitcode for process in started]
    for process in started:
        process.kill()
        process.join()
    return codes


def run(config: Path, *arguments: str, seconds: float = 300.0, **settings: Any) -> list[int | None]:
    return finish(start(config, *arguments, **settings), seconds=seconds)


def _be(line: list[str], environment: dict[str, str], said: Path) -> None:
    """The life of one process."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
    stream = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, sys.stdout.fileno())
    os.dup2(stream, sys.stderr.fileno())
    torch.set_num_threads(1)
    multiprocessing.set_start_method(None, force=True)  # for loader processes, as in a process from a shell
    from gcvideo.cli import main

    sys.argv = ["gcvideo"]
    main(line)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def said(folder: Path) -> str:
    """What all processes of the runs in a folder said."""
    return "".join(file.read_text() for file in sorted(folder.glob("said.*")))


def batches(folder: Path) -> dict[tuple[int, int], dict[str, Any]]:
    """By process and batch what Record wrote; a batch that was done twice is the same both times, or both."""
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for file in sorted((folder / "record").glob("*.jsonl")):
        for line in file.read_text().splitlines():
            facts = json.loads(line)
            key = int(file.stem), facts.get("batch", 0)
            if found.setdefault(key, facts) != facts:
                found[key] = {"twice, and not the same": [found[key], facts]}
    return found


def last_checkpoint(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "run" / "checkpoints" / "last.ckpt", weights_only=True)


def differences(folder: Path, other: Path) -> list[str]:
    """In what two runs differ, bit for bit.

    Clips and losses of every batch and the random state behind the last; weights, optimizer and learning
    rates at the end; the best score; the file of metrics.
    """
    ends = last_checkpoint(folder), last_checkpoint(other)
    parts = ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step")
    metrics = [(run / "run" / "metrics" / "metrics.csv").read_text() for run in (folder, other)]
    same = {
        "batches": batches(folder) == batches(other),
        **{part: same_values(*(end[part] for end in ends)) for part in parts},
        "best score": same_values(*(_best_score(end) for end in ends)),
        "metrics.csv": metrics[0] == metrics[1],
    }
    return [part for part, is_same in same.items() if not is_same]


def _best_score(checkpoint: dict[str, Any]) -> torch.Tensor:
    states = checkpoint["callbacks"].items()
    return next(state["best_model_score"] for name, state in states if "ModelCheckpoint" in name)


def same_values(value: Any, other: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return torch.equal(value, other)
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(same_values(value[key], other[key]) for key in value)
    if isinstance(value, list):
        return len(value) == len(other) and all(map(same_values, value, other))
    return value == other
