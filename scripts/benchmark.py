"""What benchmarks of alternatives in turns (gcvideo/complexity/turns.py) ask, save and say."""

import argparse
import csv
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from gcvideo.complexity.turns import Spread

PACKAGES = ("torch", "torchvision", "pytorchvideo", "lightning", "av", "decord")


def benchmark_parser(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """Return the parser of a benchmark, with the number of rounds that it takes unless asked for another."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=rounds, help=f"turns of each alternative (default: {rounds})"
    )
    return parser


def add_save(parser: argparse.ArgumentParser) -> None:
    """Add the option for `save`."""
    parser.add_argument("--save", type=Path, help="CSV file to add the ratios to, for plot_speed.py")


def with_quartiles(ratio: Spread, *, digits: int = 2) -> str:
    """Return a median over the rounds with its quartiles, as rich prints it."""
    median, lower, upper = (f"{value:.{digits}f}" for value in ratio)
    return f"{median} \\[{lower} - {upper}]"


def save(file: Path | None, comparison: str, ratios: Mapping[str, Spread]) -> None:
    """Add the figures of a comparison to a CSV file, for plot_speed.py; without a file do nothing."""
    if file is None:
        return
    is_new = not file.exists()
    with file.open("a", newline="") as rows:
        writer = csv.writer(rows)
        if is_new:
            writer.writerow(("comparison", "what", *Spread._fields))
        writer.writerows((comparison, what, *(f"{v:.6g}" for v in ratio)) for what, ratio in ratios.items())


def describe_machine() -> str:
    """Return processor or GPU, threads and versions, in one line."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in _cpu_info()
            if line.startswith(("model name", "Hardware"))
        ),
        platform.processor(),
    )
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else cpu
    versions = ", ".join(f"{package} {_version_of(package)}" for package in PACKAGES)
    return f"{device}, {torch.get_num_threads()} threads; Python {platform.python_version()}, {versions}"


def captured(call: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """Return the same work as one CUDA graph, captured after calls that compile and allocate.

    On a CPU it is the call itself.
    """
    if device.type != "cuda":
        return call
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _cpu_info() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []
