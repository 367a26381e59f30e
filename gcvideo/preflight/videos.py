"""Checks of videos: all that are listed are there, and a sample can be read."""

import math
from collections.abc import Sequence

from gcvideo.clip import VideoRecord
from gcvideo.data import VideoDataModule
from gcvideo.data.dataset import EpochOrder
from gcvideo.data.loading.loader import VideoLoader
from gcvideo.data.loading.unreadable import ReportUnreadable
from gcvideo.preflight.findings import Finding, Status

VIDEOS_PER_SECOND = 1000


def evenly(records: Sequence[VideoRecord], count: int) -> list[VideoRecord]:
    """Return `count` of the records, or all: the first, the last and evenly between."""
    if count >= len(records):
        return list(records)
    step = (len(records) - 1) / max(count - 1, 1)
    return [records[round(place * step)] for place in range(count)]


def check_videos(data: VideoDataModule, *, num_videos: int) -> Finding:
    """Read a sample of the training and the validation videos, as validation reads them."""
    splits = data.splits("fit")
    of_each = math.ceil(num_videos / len(splits))
    records = [record for split in splits for record in evenly(data.records(split), of_each)]
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
        return Finding("videos", Status.OK, f"{len(records)} read")
    record, reason = unreadable[0]
    said = f"{len(unreadable)} of {len(records)} cannot be read, such as {record.path}: {reason}"
    left_out = data.on_error == "skip" and len(unreadable) < len(records)
    return Finding("videos", Status.WARNING if left_out else Status.FAILED, said)


def seconds_to_look(data: VideoDataModule) -> float:
    """Return how long looking for all videos may take, on the disk of another machine."""
    return sum(len(data.records(split)) for split in data.splits("fit")) / VIDEOS_PER_SECOND


def check_listed(data: VideoDataModule) -> Finding:
    """Look for the file of every training and validation video, by listing folders.

    Raises:
        ValueError: More are absent than `gcvideo fit` would begin with.
    """
    warnings = data.look_for_videos("fit")
    if warnings:
        return Finding("listed videos", Status.WARNING, "; ".join(warnings))
    num_videos = sum(len(data.records(split)) for split in data.splits("fit"))
    return Finding("listed videos", Status.OK, f"{num_videos} there")
