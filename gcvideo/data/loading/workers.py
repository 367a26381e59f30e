"""Processes that read batches of clips; a decoder that hangs or dies takes one of them along, not the run."""

import errno
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from heapq import heappop, heappush
from itertools import count, islice

from torch import multiprocessing

from gcvideo.data.dataset import SampleKey, VideoDataset
from gcvideo.data.loading import handover
from gcvideo.data.loading.batch import ReadBatch
from gcvideo.data.loading.process import NO_FILES, serve
from gcvideo.memory import SWITCH
from gcvideo.processes import Cause, KillableProcess, Loss, ProcessPool
from gcvideo.switches import is_on

log = logging.getLogger(__name__)

BATCHES_AHEAD = 2
"""Batches that a process is given before the first of them has come."""
MOST_LOSSES_BETWEEN_VIDEOS = 3
"""In a row, beside one of each process."""


class WorkerPool:
    """Processes that read batches, and give them in order.

    A clip follows from its key alone. So when a process hangs on a video or dies of it, that video is lost
    and everything else the process had been given is read again by a fresh one, to the same bits.

    That a process was killed by SIGKILL, as the kernel does where memory is short, or was stopped, says
    nothing against its video: this is suspected, and read once more while no other process reads. Only if
    that process is killed or stopped too, the video is lost.

    Not torch's DataLoader, which gives up all its processes when one dies, cannot tell which video was being
    read, and raises wherever the main process is at that moment: within a training step, or saving a file.

    Args:
        dataset: The videos.
        num_workers: Number of processes; they start with the first batch and stay.
        timeout_seconds: Limit for one video, and for doing nothing between two; 0 is none.

    Raises:
        ValueError, OSError: Whatever reading raised in a process, other than DecodeError.
        ChildProcessError: A process ended by an exception of another kind, or processes are lost again and
            again while none of them reads a video.
    """

    def __init__(self, dataset: VideoDataset, *, num_workers: int, timeout_seconds: float) -> None:
        is_on(SWITCH)  # where that variable is wrong, say so here and not in each process
        self.lost: dict[int, str] = {}
        """Index of every video that a process was lost to, and how."""
        self._dataset = dataset
        self._num_workers = num_workers
        # Not a method, which would keep this pool, and so its processes, alive.
        start = partial(_start, dataset, timeout_seconds)
        self._pool = ProcessPool(start, receive=handover.receive)
        self.processes = self._pool.processes
        self._waiting: list[tuple[int, list[SampleKey]]] = []
        self._tickets = count()
        self._suspects: set[int] = set()
        """Indices of videos whose process was killed or stopped, until they are read again."""
        self._losses_between_videos = 0

    def read(self, batches: Iterable[list[SampleKey]]) -> Iterator[ReadBatch]:
        """Yield the batches of these keys, in this order; keys are asked for as the batches come."""
        self._pool.fill(self._num_workers)
        numbered = zip(self._tickets, batches)  # noqa: B905 (there is no end of tickets)
        self._waiting = list(islice(numbered, BATCHES_AHEAD * self._num_workers))
        tickets = deque(ticket for ticket, _ in self._waiting)
        results: dict[int, ReadBatch | Exception] = {}
        self._give_out()
        while tickets:
            ticket = tickets.popleft()
            while ticket not in results:
                # A ticket from before is of an iteration that nobody finished.
                results |= {t: result for t, result in self._collect() if t >= ticket}
                self._give_out()
            result = results.pop(ticket)
            if isinstance(result, Exception):
                raise result
            for batch in islice(numbered, 1):
                heappush(self._waiting, batch)
                tickets.append(batch[0])
            self._give_out()
            yield result

    def _give_out(self) -> None:
        """Give waiting batches to the processes with the least to do; one with a suspect is the only one."""
        while self._waiting:
            ticket, keys = self._waiting[0]
            given = [batch for process in self.processes for batch in process.given.values()]
            process = min(self.processes, key=lambda process: len(process.given))
            if (
                len(process.given) >= BATCHES_AHEAD
                or (given and self._has_suspect(keys))
                or any(map(self._has_suspect, given))
            ):
                return
            heappop(self._waiting)
            process.give(ticket, keys, {key[1]: self.lost[key[1]] for key in keys if key[1] in self.lost})

    def _has_suspect(self, keys: list[SampleKey]) -> bool:
        return any(key[1] in self._suspects for key in keys)

    def _collect(self) -> Iterator[tuple[int, ReadBatch | Exception]]:
        """Yield what has arrived, or arrives soon; what lost processes had been given waits again."""
        for process, message in self._pool.events():
            if isinstance(message, Loss):
                self._lose(process, message)
                continue
            ticket, result = message
            self._suspects.difference_update(key[1] for key in process.given.pop(ticket))
            self._losses_between_videos = 0
            yield ticket, result

    def _lose(self, process: KillableProcess, loss: Loss) -> None:
        if loss.cause is Cause.ENDED:
            if loss.detail == NO_FILES:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            raise ChildProcessError(
                f"a loader process ended with exit code {loss.detail}; see its own message"
            )
        if process.item is None:
            how = _how(loss)
            self._losses_between_videos += bool(process.given)
            if self._losses_between_videos > MOST_LOSSES_BETWEEN_VIDEOS + self._num_workers:
                raise ChildProcessError(f"loader processes are lost again and again between videos: {how}")
            log.warning("between two videos: %s; another process takes over", how)
        else:
            self._judge(process.item, loss)
        for batch in process.given.items():
            heappush(self._waiting, batch)

    def _judge(self, index: int, loss: Loss) -> None:
        """Blame, or read again alone, the video that was being read when its process was lost."""
        path, how = self._dataset.records[index].path, _how(loss)
        if loss.blames_item:
            self.lost[index] = how
            log.warning("%s: %s; another process takes over", path, how)
        elif index in self._suspects:
            self.lost[index] = f"{how}; and again when it was read alone"
            log.warning("%s: %s; another process takes over", path, self.lost[index])
        else:
            self._suspects.add(index)
            log.warning("%s: %s; it is read again, alone", path, how)


def _how(loss: Loss) -> str:
    if loss.cause is Cause.LATE:
        return f"decoding {loss}"
    if loss.cause is Cause.DIED:
        return f"the decoder died ({loss.detail})"
    return f"the loader process {loss}" + "; fewer data.num_workers take less" * (loss.cause is Cause.KILLED)


def _start(dataset: VideoDataset, timeout_seconds: float) -> KillableProcess:
    return KillableProcess(multiprocessing.get_context(), serve, dataset, limit=timeout_seconds)
