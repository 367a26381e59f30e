"""What becomes of videos that cannot be read."""

import csv
import fcntl
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from gcvideo.cells import quoted, unquoted
from gcvideo.clip import Unreadable
from gcvideo.data.decoding import DecodeError

log = logging.getLogger(__name__)

COLUMNS = ("path", "reason", "epoch")


@runtime_checkable
class UnreadablePolicy(Protocol):
    """Is told of every batch that lacks videos, in the order of the batches."""

    def handle(self, videos: Sequence[Unreadable], *, epoch: int) -> None: ...


class RaiseUnreadable:
    """The first video that cannot be read ends the run."""

    def handle(self, videos: Sequence[Unreadable], *, epoch: int) -> None:
        record, reason = videos[0]
        raise DecodeError(f"{record.path}: {reason}")


class ReportUnreadable:
    """Every video that cannot be read is named once in the log, and so are segments for other reasons."""

    def __init__(self) -> None:
        self.reported: set[tuple[str, str]] = set()

    def handle(self, videos: Sequence[Unreadable], *, epoch: int) -> None:
        for record, reason in videos:
            named = (record.written, reason) if record.segment is not None else (record.video_id, "")
            if named not in self.reported:
                log.warning("%s: %s; counted as unreadable", record.path, reason)
                self.reported.add(named)


class SkipUnreadable:
    """Videos that cannot be read are left out of training, and listed once each.

    All processes of a run, and the runs that resume it, keep one list.

    Args:
        list_file: CSV file of path, reason, and the epoch of the first try.
        num_videos: Videos of the data set.
        max_share: Share of the data set that may be unreadable; 0..1.

    Raises:
        ValueError: More than that share is listed.
    """

    def __init__(self, list_file: Path, *, num_videos: int, max_share: float) -> None:
        if not 0 <= max_share <= 1:
            raise ValueError(f"max_unreadable_share is {max_share}; expected 0..1")
        self.list_file = list_file
        self.num_videos = num_videos
        self.max_share = max_share
        self.listed: set[str] = set()

    def handle(self, videos: Sequence[Unreadable], *, epoch: int) -> None:
        if all(record.video_id in self.listed for record, _ in videos):
            return
        self.list_file.parent.mkdir(parents=True, exist_ok=True)
        with self.list_file.open("a+", newline="") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
            file.seek(0)
            self.listed = {unquoted(row["path"]) for row in csv.DictReader(file)}
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(COLUMNS)
            for record, reason in videos:
                if record.video_id not in self.listed:
                    log.warning("%s: %s; left out of training", record.path, reason)
                    writer.writerow(map(quoted, (record.video_id, reason, epoch)))
                    self.listed.add(record.video_id)
        if len(self.listed) > self.max_share * self.num_videos:
            raise ValueError(
                f"{len(self.listed)} of {self.num_videos} training videos cannot be read, more than "
                f"data.max_unreadable_share {self.max_share:g} of them; {self.list_file} names them. Mend or "
                "drop them (data_prep/verify.py finds all), or raise the share"
            )
