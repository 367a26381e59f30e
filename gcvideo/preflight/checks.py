"""What one process can find out by itself: videos that it can read, a run folder that it can write to."""

import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from gcvideo.clip import VideoRecord
from gcvideo.data import VideoDataModule
from gcvideo.data.dataset import EpochOrder
from gcvideo.data.loader import VideoLoader
from gcvideo.data.unreadable import ReportUnreadable
from gcvideo.preflight.findings import Finding, Outcome

CHECKPOINTS_KEPT = 3
"""best.ckpt, last.ckpt, and the next one while it is written."""
BYTES_OF_A_WEIGHT = 8
"""float32, and as much for its momentum."""


def evenly(records: Sequence[VideoRecord], count: int) -> list[VideoRecord]:
    """`count` of the records, or all: the first, the last and evenly between."""
    if count >= len(records):
        return list(records)
    step = (len(records) - 1) / max(count - 1, 1)
    return [records[round(place * step)] for place in range(count)]


def check_videos(data: VideoDataModule, *, num_videos: int) -> Finding:
    """A sample of the training and the validation videos is read, as validation reads them."""
    records = evenly(data.records("train"), math.ceil(num_videos / 2))
    records += evenly(data.records("val"), num_videos // 2)
    loader = VideoLoader(
        data.evaluation_dataset(records, data.val_views),
        order=EpochOrder(len(records), shuffle=False, even=False, seed=0, rank=0, num_processes=1),
        batch_size=1,
        drop_last=False,
        num_workers=min(data.num_workers, len(records)),
        timeout_seconds=data.timeout_seconds,
        unreadable=ReportUnreadable(),
    )
    unreadable = [video for batch in loader for video in batch.unreadable]
    if not unreadable:
        return Finding("videos", Outcome.OK, f"{len(records)} read")
    record, reason = unreadable[0]
    said = f"{len(unreadable)} of {len(records)} cannot be read, such as {record.path}: {reason}"
    left_out = data.on_error == "skip" and len(unreadable) < len(records)
    return Finding("videos", Outcome.SLOW if left_out else Outcome.FAILED, said)


def mark(run_dir: Path, rank: int) -> Path:
    """The file by which other processes see that a process writes to the same folder."""
    return run_dir / f".preflight-{rank}"


def check_run_dir(run_dir: Path, network: nn.Module, *, rank: int, word: str) -> Finding:
    """A file can be written to the run's folder, and there is room for its checkpoints. The file stays, for
    the other processes to see."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with mark(run_dir, rank).open("w") as file:
        file.write(word)
        file.flush()
        os.fsync(file.fileno())
    num_weights = sum(parameter.numel() for parameter in network.parameters())
    needed = CHECKPOINTS_KEPT * BYTES_OF_A_WEIGHT * num_weights
    free = shutil.disk_usage(run_dir).free
    if free < needed:
        said = f"{run_dir} has {free / 1e9:.2f} GB free; its checkpoints need {needed / 1e9:.2f} GB"
        return Finding("run_dir", Outcome.FAILED, said)
    return Finding("run_dir", Outcome.OK, f"{free / 1e9:.0f} GB free")


def check_same_run_dir(run_dir: Path, *, word: str) -> Finding:
    """What rank 0 wrote to the run's folder is seen there."""
    file = mark(run_dir, 0)
    if not file.exists() or file.read_text() != word:
        said = f"{run_dir} does not show what rank 0 wrote there; choose a folder that all machines share"
        return Finding("run_dir", Outcome.FAILED, said)
    return Finding("run_dir", Outcome.OK, f"{shutil.disk_usage(run_dir).free / 1e9:.0f} GB free")
