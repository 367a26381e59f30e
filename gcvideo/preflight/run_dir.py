"""Checks of the run's folder: it can be written to, has room, and is shared."""

import os
import shutil
from pathlib import Path

from gcvideo.preflight.findings import Finding, Status
from gcvideo.training import VideoClassifier
from gcvideo.training.optimizer_state import state_per_weight

CHECKPOINTS_KEPT = 3
"""best.ckpt, last.ckpt, and the next one while it is written."""


def mark(run_dir: Path, rank: int) -> Path:
    """Return the file by which other ranks see that a rank writes to the same folder."""
    return run_dir / f".preflight-{rank}"


def check_run_dir(run_dir: Path, model: VideoClassifier, *, rank: int, token: str) -> Finding:
    """Check that a file can be written to the run's folder, and that there is room for its checkpoints.

    The file stays, for the other ranks to see.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    with mark(run_dir, rank).open("w") as file:
        file.write(token)
        file.flush()
        os.fsync(file.fileno())
    weights = sum(parameter.nbytes for parameter in model.network.parameters())
    needed = CHECKPOINTS_KEPT * weights * (1 + state_per_weight(model.optimizer))
    free = shutil.disk_usage(run_dir).free
    if free < needed:
        said = f"{run_dir} has {free / 1e9:.2f} GB free; its checkpoints need {needed / 1e9:.2f} GB"
        return Finding("run_dir", Status.FAILED, said)
    return Finding("run_dir", Status.OK, f"{free / 1e9:.0f} GB free")


def check_same_run_dir(run_dir: Path, *, token: str) -> Finding:
    """Check that what rank 0 wrote to the run's folder is seen here."""
    file = mark(run_dir, 0)
    if not file.exists() or file.read_text() != token:
        said = f"{run_dir} does not show what rank 0 wrote there; choose a folder that all machines share"
        return Finding("run_dir", Status.FAILED, said)
    return Finding("run_dir", Status.OK, f"{shutil.disk_usage(run_dir).free / 1e9:.0f} GB free")
