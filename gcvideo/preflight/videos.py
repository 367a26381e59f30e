"""Whether videos can be read."""

import math
from collections.abc import Sequence

from gcvideo.clip import VideoRecord
from gcvideo.data import VideoDataModule
from gcvideo.data.dataset import EpochOrder
from gcvideo.data.loader import VideoLoader
from gcvideo.data.unreadable import ReportUnreadable
from gcvideo.preflight.findings import Finding, Status


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
        return Finding("videos", Status.OK, f"{len(records)} read")
    record, reason = unreadable[0]
    said = f"{len(unreadable)} of {len(records)} cannot be read, such as {record.path}: {reason}"
    left_out = data.on_error == "skip" and len(unreadable) < len(records)
    return Finding("videos", Status.SLOW if left_out else Status.FAILED, said)
