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
from gcvideo.data.dataset import SampleKey, VideoDataset
from gcvideo.data.fetching import Fetched
from gcvideo.data.loader_process import POLL_SECONDS, LoaderProcess
from gcvideo.memory import SWITCH
from gcvideo.switches import is_on

log = logging.getLogger(__name__)

BATCHES_AHEAD = 2
"""Batches that a process is given before the first of them is fetched."""
MOST_DEATHS_BETWEEN_VIDEOS = 3


class WorkerPool:
    """Reads batches in `num_workers` processes and gives them in order.

    A clip follows from its key alone. So when a process hangs on a video or dies of it, that video is lost
    and everything else the process had been given is read again by a fresh one, to the same bits.

    Not torch's DataLoader, which gives up all its processes when one dies, cannot tell which video was being
    read, and raises wherever the main process is at that moment: within a training step, or saving a file.

    Args:
        dataset: The videos.
        num_workers: Number of processes; they start with the first batch and stay.
        timeout_seconds: Limit for one video; 0 is none.

    Raises:
        ValueError, OSError: Whatever reading raised in a process, other than DecodeError.
        RuntimeError: A process ended by an exception of another kind, or processes keep dying while none of
            them reads a video.
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
        self._deaths_between_videos = 0
        # At exit, also of a process that is multiprocessing's own, before that waits for its children: they
        # ignore its SIGTERM.
        self._close = Finalize(self, _end_all, args=(self._workers, os.getpid()), exitpriority=0)

    def fetch(self, batches: Iterable[list[SampleKey]]) -> Iterator[Fetched]:
        """The batches of these keys, in this order; keys are asked for as the batches come."""
        self._start()
        numbered = zip(self._tickets, batches)  # noqa: B905 (there is no end of tickets)
        self._waiting = list(islice(numbered, BATCHES_AHEAD * self._num_workers))
        tickets = deque(ticket for ticket, _ in self._waiting)
        results: dict[int, Fetched | Exception] = {}
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
        """Give waiting batches to the processes with the least to do."""
        while self._waiting:
            worker = min(self._workers, key=lambda worker: len(worker.given))
            if len(worker.given) >= BATCHES_AHEAD:
                return
            worker.give(*heappop(self._waiting), lost=self.lost)

    def _collect(self) -> Iterator[tuple[int, Fetched | Exception]]:
        """What has arrived, or arrives within POLL_SECONDS; processes that are lost are replaced."""
        by_connection = {worker.connection: worker for worker in self._workers}
        for connection in wait(list(by_connection), timeout=POLL_SECONDS):
            worker = by_connection[connection]  # pyright: ignore[reportArgumentType]
            try:
                ticket, result = handover.receive(worker.connection)
            except (EOFError, OSError) as error:
                # An overdue process may have ended itself, where this one was held up.
                self._replace(worker, how=self._overdue(worker) or worker.death(error))
                continue
            del worker.given[ticket]
            self._deaths_between_videos = 0
            yield ticket, result
        for worker in list(self._workers):
            how = self._overdue(worker)
            if how is not None:
                self._replace(worker, how=how)

    def _overdue(self, worker: LoaderProcess) -> str | None:
        if worker.seconds_on_video > self._timeout_seconds > 0:
            return f"decoding took more than {self._timeout_seconds:g} s"
        return None

    def _replace(self, worker: LoaderProcess, how: str) -> None:
        index = worker.video
        worker.end()
        if index is not None:
            self.lost[index] = how
            log.warning("%s: %s; another process takes over", self._dataset.records[index].path, how)
        else:
            self._deaths_between_videos += 1
            if self._deaths_between_videos > MOST_DEATHS_BETWEEN_VIDEOS:
                raise RuntimeError(
                    f"loader processes keep dying while they read no video ({how}); is memory short?"
                )
        for batch in worker.given.items():
            heappush(self._waiting, batch)
        self._workers[self._workers.index(worker)] = LoaderProcess(self._dataset, self._timeout_seconds)


def _end_all(workers: list[LoaderProcess], owner: int) -> None:
    if os.getpid() == owner:  # and not a process forked from it
        while workers:
            workers.pop().end()
