"""Processes that work may hang or kill, as the process sees them that started them."""

import faulthandler
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, NamedTuple

POLL_SECONDS = 1.0
LOOKED_AWAY_SECONDS = 5.0
"""Between two looks at a process, after which nothing is known of the time between."""
END_SECONDS = 10.0
"""How long a killed process may take to end: one that waits for a dead disk does not even then."""
ORPHAN_GRACE_SECONDS = 30.0
STANDARD_ERROR = 2


def available_workers() -> int:
    """Return how many processors this process may use, at most 8."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)


class Cause(Enum):
    """How a process is lost: it ..."""

    LATE = "took more than {:g} s"  # over one item
    DIED = "was killed by {}"  # a signal of its own, as in a segmentation fault
    ENDED = "ended with exit code {}"
    KILLED = "was killed ({}), as the kernel does where memory is short"
    STOPPED = "was stopped by a signal for more than {:g} s"
    STILL = "did nothing for more than {:g} s"


class Loss(NamedTuple):
    """How one process was lost."""

    cause: Cause
    detail: Any
    """The limit in seconds, the name of the signal, or the exit code."""

    def __str__(self) -> str:
        return self.cause.value.format(self.detail)

    @property
    def blames_item(self) -> bool:
        """Return whether the item that it worked on is to blame, and not the system."""
        return self.cause in (Cause.LATE, Cause.DIED)


class _Life(NamedTuple):
    """What the system says of a process: field 3, and fields 14 and 15, of /proc/PID/stat (proc(5))."""

    state: str
    ticks: int
    """Processor time it has used, by itself and by the system for it."""

    @classmethod
    def of(cls, pid: int | None) -> "_Life | None":
        """Return the life of a process; None where it has ended, or the system says nothing."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return cls(fields[0], int(fields[11]) + int(fields[12]))


_present: "Duty | None" = None
"""What this process has to do, where it is one of a pool's."""


_begun_anew_at = 0.0


def begin_anew() -> None:
    """Count the time for the present item from now on: what it waits for is not its own doing."""
    global _begun_anew_at
    _begun_anew_at = time.monotonic()
    if _present is not None:
        _present.begin_anew()


def seconds_since_begun_anew() -> float:
    """Return how long ago this process called `begin_anew`."""
    return time.monotonic() - _begun_anew_at


class Duty:
    """A process's own side: the jobs that it is given, and the item it works on."""

    def __init__(self, connection: Connection, at: Any, limit: float) -> None:
        self.connection = connection
        self._at = at
        self._limit = limit

    def jobs(self) -> Iterator[Any]:
        """Yield what the parent gives, until it is gone."""
        parent = os.getppid()
        while True:
            while not self.connection.poll(POLL_SECONDS):
                if os.getppid() != parent:
                    return
            try:
                yield self.connection.recv()
            except (EOFError, ConnectionResetError):
                return

    @contextmanager
    def working_on(self, index: int) -> Iterator[None]:
        """Let the parent see which item is worked on, and since when."""
        self._at[0], self._at[1] = index, time.monotonic()
        self.begin_anew()
        try:
            yield
        finally:
            self._at[1] = 0
            faulthandler.cancel_dump_traceback_later()

    def begin_anew(self) -> None:
        """Let the parent count the time for the present item, if there is one, from now on."""
        if not self._at[1]:
            return
        if self._limit:
            # The parent kills this process when it is time; this is for when there is no parent any more.
            faulthandler.dump_traceback_later(
                self._limit + ORPHAN_GRACE_SECONDS, exit=True, file=STANDARD_ERROR
            )
        self._at[1] = time.monotonic()


def _serve(serve: Callable[..., None], connection: Connection, at: Any, limit: float, *args: Any) -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        # Schedulers signal all processes of a job, and the parent still needs its result to stop in order.
        signal.signal(ignored, signal.SIG_IGN)
    # Not those of a live bar, whose lock may be held forever
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    global _present
    _present = Duty(connection, at, limit)
    serve(_present, *args)


class KillableProcess:
    """One process, and the jobs it has been given.

    Args:
        context: How processes start.
        serve: What it does: called with its Duty and args, it returns when there are no more jobs.
        args: Must pickle, unless the context forks.
        limit: Seconds for one item, and for doing nothing between two; 0 is none.
    """

    def __init__(self, context: BaseContext, serve: Callable[..., None], *args: Any, limit: float) -> None:
        self.given: dict[int, Any] = {}
        """Jobs by ticket, in the order in which they were given."""
        self._limit = limit
        self._at = context.RawArray("d", 2)  # index of the item, since when; 0 is not working
        self._life: _Life | None = None
        self._still_since = self._watched_since = self._looked_at = time.monotonic()
        self.connection, child = context.Pipe()
        self.process = context.Process(  # pyright: ignore[reportAttributeAccessIssue]
            target=_serve, args=(serve, child, self._at, limit, *args), daemon=True
        )
        self.process.start()
        child.close()

    def give(self, ticket: int, job: Any, *more: Any) -> None:
        """Send a job, and more that it needs; that the process is dead is seen when it is waited for."""
        self.given[ticket] = job
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send((ticket, job, *more))

    @property
    def item(self) -> int | None:
        """Return the index of the item it works on, or None between two."""
        index, since = self._at
        return int(index) if since else None

    def overdue(self) -> Loss | None:
        """Return how it has come to take too long, if it has: over one item, or doing nothing at all.

        Time counts while this is called again and again. Before that both processes may have been stopped, or
        this one was busy elsewhere. Between two items only time counts in which the process neither runs nor
        waits for a processor: starting it may take long, and so may putting a large result together.
        """
        now, (_, since), life = time.monotonic(), self._at, _Life.of(self.process.pid)
        if now - self._looked_at > LOOKED_AWAY_SECONDS:
            self._watched_since = self._still_since = now
        self._looked_at = now
        if since or not self.given or life is None or life.state == "R" or life != self._life:
            self._still_since = now
        self._life = life
        if not self._limit:
            return None
        if since and now - max(since, self._watched_since) > self._limit:
            is_stopped = life is not None and life.state in "Tt"
            return Loss(Cause.STOPPED if is_stopped else Cause.LATE, self._limit)
        return Loss(Cause.STILL, self._limit) if now - self._still_since > self._limit else None

    def death(self, error: EOFError | OSError) -> Loss:
        """Return how the process died whose connection gave `error`; raise `error` if it is alive."""
        self.process.join(END_SECONDS if isinstance(error, EOFError) else POLL_SECONDS)
        if self.process.exitcode is None:
            raise error
        return self._death(self.process.exitcode)

    def _death(self, code: int) -> Loss:
        since = self._at[1]
        if code == -signal.SIGKILL:
            return Loss(Cause.KILLED, signal.SIGKILL.name)
        if code < 0:
            return Loss(Cause.DIED, signal.Signals(-code).name)
        if since and time.monotonic() - since > self._limit > 0:
            return Loss(Cause.STOPPED, self._limit)  # it ended itself: both were stopped, or nobody watched
        return Loss(Cause.ENDED, code)

    def end(self) -> Loss | None:
        """Kill the process; return how it was dying by itself already, as it may while it writes a core."""
        self.process.kill()
        self.process.join(END_SECONDS)
        self.connection.close()
        loss = self._death(self.process.exitcode or 0)
        return loss if loss.cause is Cause.DIED or (loss.cause is Cause.ENDED and loss.detail) else None


class ProcessPool:
    """Processes that are watched, and replaced when they are lost.

    Args:
        start: Starts one.
        receive: Takes one message from a connection.
    """

    def __init__(self, start: Callable[[], KillableProcess], *, receive: Callable[[Connection], Any]) -> None:
        self.processes: list[KillableProcess] = []
        self._start = start
        self._receive = receive
        # At exit, also of a process that is multiprocessing's own, before that waits for its children: they
        # ignore its SIGTERM.
        self.close = Finalize(self, _end_all, args=(self.processes, os.getpid()), exitpriority=0)

    def fill(self, num_processes: int) -> None:
        """Start processes until there are so many."""
        while len(self.processes) < num_processes:
            self.processes.append(self._start())

    def events(self) -> Iterator[tuple[KillableProcess, Any]]:
        """Yield the messages that have arrived or arrive within POLL_SECONDS, and each Loss.

        A process that is lost is ended, and replaced before its Loss is yielded.

        Raises:
            OSError: A process is alive, and the error is this one's own.
        """
        by_connection = {process.connection: process for process in self.processes}
        for connection in wait(list(by_connection), timeout=POLL_SECONDS):
            process = by_connection[connection]  # pyright: ignore[reportArgumentType]
            try:
                message = self._receive(process.connection)
            except (EOFError, OSError) as error:
                message = process.death(error)
                self._replace(process)
            yield process, message
        for process in list(self.processes):
            if (loss := process.overdue()) is not None:
                yield process, self._replace(process) or loss

    def _replace(self, process: KillableProcess) -> Loss | None:
        loss = process.end()
        self.processes[self.processes.index(process)] = self._start()
        return loss


def _end_all(processes: list[KillableProcess], owner: int) -> None:
    if os.getpid() == owner:  # and not a process forked from it
        while processes:
            processes.pop().end()
