"""Whether the folder of a run can be written to, has room, and is shared."""

import os
import shutil
from pathlib import Path

from torch import nn

from gcvideo.preflight.findings import Finding, Status

CHECKPOINTS_KEPT = 3
"""best.ckpt, last.ckpt, and the next one while it is written."""
BYTES_OF_A_WEIGHT = 8
"""float32, and as much for its momentum."""


def mark(run_dir: Path, rank: int) -> Path:
    """The file by which other processes see that a process writes to the same folder."""
    return run_dir / f".preflight-{rank}"


def check_run_dir(run_dir: Path, network: nn.Module, *, rank: int, token: str) -> Finding:
    """A file can be written to the run's folder, and there is room for its checkpoints. The file stays, for
    the other processes to see."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with mark(run_dir, rank).open("w") as file:
        file.write(token)
        file.flush()
        os.fsync(file.fileno())
    num_weights = sum(parameter.numel() for parameter in network.parameters())
    needed = CHECKPOINTS_KEPT * BYTES_OF_A_WEIGHT * num_weights
    free = shutil.disk_usage(run_dir).free
    if free < needed:
        said = f"{run_dir} has {free / 1e9:.2f} GB free; its checkpoints need {needed / 1e9:.2f} GB"
        return Finding("run_dir", Status.FAILED, said)
    return Finding("run_dir", Status.OK, f"{free / 1e9:.0f} GB free")


def check_same_run_dir(run_dir: Path, *, token: str) -> Finding:
    """What rank 0 wrote to the run's folder is seen there."""
    file = mark(run_dir, 0)
    if not file.exists() or file.read_text() != token:
        said = f"{run_dir} does not show what rank 0 wrote there; choose a folder that all machines share"
        return Finding("run_dir", Status.FAILED, said)
    return Finding("run_dir", Status.OK, f"{shutil.disk_usage(run_dir).free / 1e9:.0f} GB free")
