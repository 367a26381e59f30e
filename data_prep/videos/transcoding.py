"""Videos written again in worker processes, each a row of the report."""

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data_prep.lists.listable_names import unlistable
from data_prep.running.journal import Journal, file_state
from data_prep.running.unfinished import run_unfinished
from data_prep.running.workers import CallResult
from data_prep.videos.x264 import EncodingSettings
from gcvideo.atomic import read_table, replacing

REPORT = "transcode_report"
"""Name of the report, before a shard's suffix and .csv."""
COLUMNS = ("path", "output", "status", "num_frames", "width", "height", "num_bytes", "reason")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Task(NamedTuple):
    """One video to write again."""

    path: str
    """As the lists name it."""
    source: Path
    target: Path
    partial: Path
    """The target until it is whole. No other process has it: where a run was killed, a worker of it
    may live on until its video is done, while the next run begins."""
    settings: EncodingSettings


def why_not_transcoded(output: Path) -> dict[str, str]:
    """Return the path of each video that reports in this folder have no output for -> the reason."""
    rows = (row for report in sorted(output.glob(f"{REPORT}*.csv")) for row in read_table(report))
    return {row["output"]: row["reason"] for row in rows if row["status"] == "failed"}


def transcode(
    tasks: Sequence[Task],
    *,
    journal: Journal,
    num_workers: int,
    time_limit_seconds: float,
    retry_failed: bool,
) -> dict[str, dict[str, Any]]:
    """Write videos again, in worker processes; those that are done are left.

    Returns:
        path -> {"status": "encoded" | "kept" | "failed", and the columns of the report after it}.

    Raises:
        OSError: The disk is full, or cannot be written to.
    """

    def is_done(task: Task, row: dict[str, Any]) -> bool:
        if row["status"] == "failed":
            return not retry_failed
        # By its size, since a run with other settings may have written it anew
        return file_state(task.target).num_bytes == row["num_bytes"]

    def row_of(result: CallResult[Task]) -> dict[str, Any]:
        row = result.results[-1] if result.fault is None else _failed(result.fault)
        if row["status"] == "unwritable":
            raise OSError(f"{result.item.target}: {row['reason']}")
        return row

    return run_unfinished(
        transcode_one,
        tasks,
        step="transcode",
        journal=journal,
        state_of=lambda task: file_state(task.source, repr(task.settings)),
        is_done=is_done,
        row_of=row_of,
        num_workers=num_workers,
        time_limit_seconds=time_limit_seconds,
    )


def transcode_one(task: Task) -> Iterator[dict[str, Any]]:
    """Write one video again; of one that is right as it is, the output is a link or a copy.

    Yields:
        The row of the report, when the output bears its name.
    """
    from data_prep.videos.encoding import check_encoded, encode, why_not_right  # here, since they import
    from gcvideo.data.decoding.index import index_stream  # PyTorch, which takes seconds
    from gcvideo.data.decoding.reader import DecodeError

    if (trouble := unlistable(task.path)) is not None:
        yield _failed(trouble)
        return
    try:
        index = index_stream(task.source)
        with replacing(task.target, partial=task.partial) as partial:
            if why_not_right(index, task.settings) is None:
                size = (index.context.width, index.context.height)
                num_frames = len(index.packets)
                index.close()
                _link_or_copy(task.source, partial)
                row = _row("kept", num_frames, *size, partial.stat().st_size)
            else:
                written = encode(index, partial, task.settings)
                index.close()
                check_encoded(partial, written, task.settings)
                size = (written.width, written.height)
                row = _row("encoded", written.num_frames, *size, partial.stat().st_size)
    except DecodeError as error:
        row = _failed(str(error).replace(f"{task.source}: ", ""))
    except OSError as error:  # FFmpeg's errors of writing are among them
        row = _failed(f"{type(error).__name__}: {error.strerror}")
        if error.errno in _NO_SPACE:
            row["status"] = "unwritable"
    yield row


def _row(status: str, num_frames: object, width: object, height: object, num_bytes: object) -> dict[str, Any]:
    return {
        "status": status,
        "num_frames": num_frames,
        "width": width,
        "height": height,
        "num_bytes": num_bytes,
        "reason": "",
    }


def _failed(reason: str) -> dict[str, Any]:
    return {**_row("failed", "", "", "", ""), "reason": reason}


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
