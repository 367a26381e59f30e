"""What benchmarks save and say of alternatives measured in turns (gcvideo/complexity/turns.py)."""

import csv
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch

from gcvideo.complexity.turns import Spread

PACKAGES = ("torch", "torchvision", "pytorchvideo", "lightning", "av", "decord")


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
