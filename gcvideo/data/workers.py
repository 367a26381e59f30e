"""Processes that read batches of clips; a decoder that hangs or dies takes one of them along, not the run."""

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from itertools import count, islice
from multiprocessing.connection import wait
from multiprocessing.util import Finalize

from gcvideo.data import handover
from gcvideo.data.batch import ReadBatch
from gcvideo.data.dataset import SampleKey, VideoDataset
from gcvideo.data.loader_process import POLL_SECONDS, LoaderProcess, Loss
from gcvideo.memory import SWITCH
from gcvideo.switches import is_on

log = logging.getLogger(__name__)

BATCHES_AHEAD = 2
"""Batches that a process is given before the first of them has come."""
MOST_LOSSES_BETWEEN_VIDEOS = 3
"""In a row, beside one of each process."""


class WorkerPool:
    """Reads batches in `num_workers` processes and gives them in order.

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
        self._timeout_seconds = timeout_seconds
        self._workers: list[LoaderProcess] = []
        self._waiting: list[tuple[int, list[SampleKey]]] = []
        self._tickets = count()
        self._suspects: set[int] = set()
        """Indices of videos whose process was killed or stopped, until they are read again."""
        self._losses_between_videos = 0
        # At exit, also of a process that is multiprocessing's own, before that waits for its children: they
        # ignore its SIGTERM.
        self._close = Finalize(self, _end_all, args=(self._workers, os.getpid()), exitpriority=0)

    def read(self, batches: Iterable[list[SampleKey]]) -> Iterator[ReadBatch]:
        """The batches of these keys, in this order; keys are asked for as the batches come."""
        self._start()
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

    def close(self) -> None:
        """Ends the processes, whatever they are doing."""
        self._close()

    def _start(self) -> None:
        while len(self._workers) < self._num_workers:
            self._workers.append(LoaderProcess(self._dataset, self._timeout_seconds))

    def _give_out(self) -> None:
        """Give waiting batches to the processes with the least to do; one with a suspect is the only one."""
        while self._waiting:
            ticket, keys = self._waiting[0]
            given = [batch for worker in self._workers for batch in worker.given.values()]
            worker = min(self._workers, key=lambda worker: len(worker.given))
            if (
                len(worker.given) >= BATCHES_AHEAD
                or (given and self._has_suspect(keys))
                or any(map(self._has_suspect, given))
            ):
                return
            heappop(self._waiting)
            worker.give(ticket, keys, lost=self.lost)

    def _has_suspect(self, keys: list[SampleKey]) -> bool:
        return any(index in self._suspects for _, index in keys)

    def _collect(self) -> Iterator[tuple[int, ReadBatch | Exception]]:
        """What has arrived, or arrives within POLL_SECONDS; processes that are lost are replaced."""
        by_connection = {worker.connection: worker for worker in self._workers}
        for connection in wait(list(by_connection), timeout=POLL_SECONDS):
            worker = by_connection[connection]  # pyright: ignore[reportArgumentType]
            try:
                ticket, result = handover.receive(worker.connection)
            except (EOFError, OSError) as error:
                self._replace(worker, worker.death(error))
                continue
            self._suspects.difference_update(index for _, index in worker.given.pop(ticket))
            self._losses_between_videos = 0
            yield ticket, result
        for worker in list(self._workers):
            loss = worker.overdue()
            if loss is not None:
                self._replace(worker, loss)

    def _replace(self, worker: LoaderProcess, loss: Loss) -> None:
        index = worker.video
        worker.end()
        if index is None:
            self._losses_between_videos += bool(worker.given)
            if self._losses_between_videos > MOST_LOSSES_BETWEEN_VIDEOS + self._num_workers:
                raise ChildProcessError(
                    f"loader processes are lost again and again between videos: {loss.how}"
                )
            log.warning("between two videos: %s; another process takes over", loss.how)
        else:
            self._judge(index, loss)
        for batch in worker.given.items():
            heappush(self._waiting, batch)
        self._workers[self._workers.index(worker)] = LoaderProcess(self._dataset, self._timeout_seconds)

    def _judge(self, index: int, loss: Loss) -> None:
        """What becomes of a video that was being read when its process was lost."""
        path = self._dataset.records[index].path
        if loss.blames_video:
            self.lost[index] = loss.how
            log.warning("%s: %s; another process takes over", path, loss.how)
        elif index in self._suspects:
            self.lost[index] = f"{loss.how}; and again when it was read alone"
            log.warning("%s: %s; another process takes over", path, self.lost[index])
        else:
            self._suspects.add(index)
            log.warning("%s: %s; it is read again, alone", path, loss.how)


def _end_all(workers: list[LoaderProcess], owner: int) -> None:
    if os.getpid() == owner:  # and not a process forked from it
        while workers:
            workers.pop().end()
