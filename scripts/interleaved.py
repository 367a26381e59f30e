"""Alternatives measured in turns within one run, so that whatever else the machine does meets all of them."""

import csv
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import torch

PACKAGES = ("torch", "torchvision", "pytorchvideo", "lightning", "av", "decord")


class Spread(NamedTuple):
    """Median and quartiles of one figure over the rounds."""

    median: float
    lower: float
    upper: float


def in_turns(
    alternatives: Mapping[str, Callable[[], object]], *, rounds: int, seconds_per_turn: float = 0.3
) -> dict[str, list[float]]:
    """Seconds of one call of every alternative, in each of `rounds` rounds.

    A turn repeats the call for about `seconds_per_turn`; every other round goes through the alternatives
    backwards.
    """
    repeats = {}
    for name, call in alternatives.items():
        timed(call, 1)  # the first call allocates and compiles
        repeats[name] = max(int(seconds_per_turn / timed(call, 1)), 1)
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for number in range(rounds):
        for name in list(alternatives)[:: 1 if number % 2 == 0 else -1]:
            seconds[name].append(timed(alternatives[name], repeats[name]))
    return seconds


def timed(call: Callable[[], object], repeats: int) -> float:
    """Seconds of one call, over so many. Not torch's Timer, which calls twice more each time it is asked."""
    _wait_for_gpu()
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    _wait_for_gpu()
    return (time.perf_counter() - began) / repeats


def _wait_for_gpu() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def spread(values: list[float]) -> Spread:
    """Median and quartiles."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    lower, _, upper = quantiles(values, n=4)
    return Spread(median(values), lower, upper)


def times_faster(theirs: list[float], ours: list[float]) -> Spread:
    """How many times as fast ours is, from the ratios of the single rounds."""
    return spread([slow / fast for slow, fast in zip(theirs, ours, strict=True)])


def save(file: Path | None, comparison: str, ratios: Mapping[str, Spread]) -> None:
    """Add the ratios of a comparison to a CSV file, for plot_speed.py; without a file do nothing."""
    if file is None:
        return
    is_new = not file.exists()
    with file.open("a", newline="") as rows:
        writer = csv.writer(rows)
        if is_new:
            writer.writerow(("comparison", "what", *Spread._fields))
        writer.writerows((comparison, what, *(f"{v:.4f}" for v in ratio)) for what, ratio in ratios.items())


def describe_machine() -> str:
    """Processor or GPU, threads and versions, in one line."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in _cpu_info()
            if line.startswith(("model name", "Hardware"))
        ),
        platform.processor(),
    )
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else cpu
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return f"{device}, {torch.get_num_threads()} threads; Python {platform.python_version()}, {versions}"


def _cpu_info() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []
