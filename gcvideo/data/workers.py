"""Processes that read batches of clips; a decoder that hangs or dies takes one of them along, not the run."""

import faulthandler
import logging
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from heapq import heappop, heappush
from itertools import count, islice
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.util import Finalize
from typing import Any, NamedTuple

import torch
from torch import multiprocessing

from gcvideo.clip import ClipBatch, Unreadable
from gcvideo.data.dataset import SampleKey, VideoDataset, collate
from gcvideo.data.decoding import DecodeError
from gcvideo.memory import SWITCH, keep_freed_memory
from gcvideo.switches import is_on

log = logging.getLogger(__name__)

MEMORY_KEPT = 2**28
"""Bytes that a process keeps for the next clips: more than those of a video's thirty views."""
BATCHES_AHEAD = 2
"""Batches that a process is given before the first of them is fetched."""
POLL_SECONDS = 1.0
ORPHAN_GRACE_SECONDS = 30.0
MOST_DEATHS_BETWEEN_VIDEOS = 3
STANDARD_ERROR = 2


class Fetched(NamedTuple):
    """A batch as it comes from whoever read it."""

    batch: ClipBatch
    read_by: Counter[str]
    """How many of its videos each decoder read."""


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
        self._workers: list[_Worker] = []
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
            self._workers.append(_Worker(self._dataset, self._timeout_seconds))

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
                ticket, result = worker.connection.recv()
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

    def _overdue(self, worker: "_Worker") -> str | None:
        if worker.seconds_on_video > self._timeout_seconds > 0:
            return f"decoding took more than {self._timeout_seconds:g} s"
        return None

    def _replace(self, worker: "_Worker", how: str) -> None:
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
        self._workers[self._workers.index(worker)] = _Worker(self._dataset, self._timeout_seconds)


class _Worker:
    """One process, and the batches it has been given."""

    def __init__(self, dataset: VideoDataset, timeout_seconds: float) -> None:
        context: BaseContext = multiprocessing.get_context()
        self.given: dict[int, list[SampleKey]] = {}
        self._reading = context.RawArray("d", 2)  # index of the video, since when; 0 is not reading
        self.connection, child = context.Pipe()
        self.process = context.Process(  # pyright: ignore[reportAttributeAccessIssue]
            target=_serve, args=(child, dataset, self._reading, timeout_seconds), daemon=True
        )
        self.process.start()
        child.close()

    def give(self, ticket: int, keys: list[SampleKey], lost: Mapping[int, str]) -> None:
        self.given[ticket] = keys
        with suppress(
            BrokenPipeError, ConnectionResetError
        ):  # it is dead, which is seen when it is waited for
            self.connection.send((ticket, keys, {i: lost[i] for _, i in keys if i in lost}))

    @property
    def video(self) -> int | None:
        """The index of the video it is reading."""
        index, since = self._reading
        return int(index) if since else None

    @property
    def seconds_on_video(self) -> float:
        since = self._reading[1]
        return time.monotonic() - since if since else 0.0

    def death(self, error: EOFError | OSError) -> str:
        """How the process died whose connection gave `error`; raises where that is no decoder's doing."""
        self.process.join(POLL_SECONDS)
        code = self.process.exitcode
        if code is None:
            raise error
        if code >= 0:
            raise RuntimeError(
                f"a loader process ended with exit code {code}; see its own message"
            ) from error
        return f"the decoder died ({signal.Signals(-code).name})"

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _end_all(workers: list[_Worker], owner: int) -> None:
    if os.getpid() == owner:  # and not a process forked from it
        while workers:
            workers.pop().end()


Watch = Callable[[int], AbstractContextManager[None]]
"""Watches over the reading of the video with this index."""


def fetch(
    dataset: VideoDataset, keys: Sequence[SampleKey], *, watch: Watch, lost: Mapping[int, str]
) -> Fetched:
    """One batch; videos that cannot be read, or are lost already, are named in it and not replaced."""
    clips, unreadable = [], []
    for key in keys:
        index = key[1]
        record = dataset.records[index]
        if index in lost:
            unreadable.append(Unreadable(record, lost[index]))
            continue
        try:
            with watch(index):
                clips.append(dataset[key])
        except DecodeError as error:
            unreadable.append(Unreadable(record, str(error).removeprefix(f"{record.path}: ")))
    batch = collate(clips) if clips else dataset.empty_batch()
    return Fetched(batch._replace(unreadable=tuple(unreadable)), Counter(clip.read_by for clip in clips))


@contextmanager
def last_resort(path: os.PathLike[str], timeout_seconds: float) -> Iterator[None]:
    """Ends the process, naming the video, where reading takes too long and there is no other process."""

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
    timer = threading.Timer(timeout_seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _serve(connection: Connection, dataset: VideoDataset, reading: Any, timeout_seconds: float) -> None:
    """A worker's life. It ends with its parent, even while a decoder hangs."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        # Schedulers signal all processes of a job, and the parent still needs its batch to stop in order.
        signal.signal(ignored, signal.SIG_IGN)
    torch.set_num_threads(1)
    keep_freed_memory(at_most=MEMORY_KEPT)
    parent = os.getppid()

    @contextmanager
    def watch(index: int) -> Iterator[None]:
        if timeout_seconds:
            # The parent kills this process when it is time; this is for when there is no parent any more.
            faulthandler.dump_traceback_later(
                timeout_seconds + ORPHAN_GRACE_SECONDS, exit=True, file=STANDARD_ERROR
            )
        reading[0], reading[1] = index, time.monotonic()
        try:
            yield
        finally:
            reading[1] = 0
            faulthandler.cancel_dump_traceback_later()

    while True:
        while not connection.poll(POLL_SECONDS):
            if os.getppid() != parent:
                return
        try:
            ticket, keys, lost = connection.recv()
        except EOFError:
            return
        try:
            result = fetch(dataset, keys, watch=watch, lost=lost)
        except (ValueError, OSError) as error:
            result = error
        connection.send((ticket, result))
