"""A batch of clips from its keys, by whoever reads it."""

import logging
import math
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from gcvideo.clip import ClipBatch, Unreadable
from gcvideo.data.dataset import SampleKey, VideoDataset, collate
from gcvideo.data.decoding import DecodeError
from gcvideo.processes import seconds_since_begun_anew
from gcvideo.shortage import lacks_files, shortage

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class ReadBatch(NamedTuple):
    """A batch as it comes from whoever read it."""

    batch: ClipBatch
    read_by: Counter[str]
    """How many of its videos each decoder read."""


Watch = Callable[[int], AbstractContextManager[None]]
"""Watches over the reading of the video with this index."""


def read_batch(
    dataset: VideoDataset, keys: Sequence[SampleKey], *, watch: Watch, lost: Mapping[int, str]
) -> ReadBatch:
    """Return one batch; videos that cannot be read, or are lost already, are named in it and not replaced."""
    clips, places, unreadable = [], [], []
    for key in keys:
        moment, index = key[:2]
        record = dataset.records[index]
        if index in lost:
            unreadable.append(Unreadable(record, lost[index]))
            continue
        try:
            with watch(index):
                clips.append(dataset[key])
                places += moment[1:] if isinstance(moment, tuple) else ()
        except DecodeError as error:
            if lacks_files(error.__cause__):  # which is not the video's doing
                raise OSError(shortage(error.__cause__)) from error
            unreadable.append(Unreadable(record, str(error).removeprefix(f"{record.path}: ")))
    batch = collate(clips, num_classes=dataset.num_classes) if clips else dataset.empty_batch()
    first = keys[0][0] if keys else 0
    batch = batch._replace(
        unreadable=tuple(unreadable),
        epoch=first[0] if isinstance(first, tuple) else first,
        places=places,
    )
    return ReadBatch(batch, Counter(clip.read_by for clip in clips))


@contextmanager
def last_resort(path: os.PathLike[str], timeout_seconds: float) -> Iterator[None]:
    """End the process, naming the video, if reading takes too long and there is no other process."""

    def give_up() -> None:
        log.critical(
            "%s: decoding took more than %g s; drop it from the list, "
            "or read with data.num_workers 1 or more, which costs a process and not the run",
            path,
            timeout_seconds,
        )
        os._exit(1)

    if not timeout_seconds:
        yield
        return
    read = threading.Event()
    num_looks = math.ceil(timeout_seconds / LOOK_SECONDS)

    def watch() -> None:
        # Look by look, so that the time in which the whole process was stopped (Ctrl-Z) counts as one.
        while not any(read.wait(timeout_seconds / num_looks) for _ in range(num_looks)):
            if seconds_since_begun_anew() > timeout_seconds:
                give_up()
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        read.set()
