"""Functions that may hang or crash, each call in a process that can be killed."""

import faulthandler
import logging
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, NamedTuple, TypeVar

Item = TypeVar("Item")

_ORPHAN_GRACE_SECONDS = 30.0
DEATH = "the process was killed by {}"
KILLED = DEATH.format(signal.SIGKILL.name)

log = logging.getLogger(__name__)


class CallResult(NamedTuple, Generic[Item]):
    """What became of one item."""

    item: Item
    results: list[Any]
    """What the function yielded, in order: all of it, or what came before the fault."""
    fault: str | None
    """Why the process ended before the function did, or None."""


def run_killable(
    function: Callable[[Item], Iterator[Any]],
    items: Sequence[Item],
    *,
    num_workers: int,
    time_limit_seconds: float,
) -> Iterator[CallResult[Item]]:
    """Call a generator function on every item, in worker processes; outcomes come as they finish.

    A call that takes longer than the limit is killed with its process; a call that takes its
    process down (a segmentation fault, an exception nobody caught) ends alone. Either way the
    outcome says so, keeps what was yielded before, and a fresh process goes on with the rest.

    That a process was killed by SIGKILL, as the kernel does where memory is short, says nothing
    against its item: after all others it is called once more, while nothing else runs.

    Args:
        function: What to call; it and what it yields must pickle.
        items: What to call it on.
        num_workers: Number of processes.
        time_limit_seconds: Wall-clock limit of one call.

    Raises:
        ValueError: The limit is not above 0.
    """
    if not time_limit_seconds > 0:
        raise ValueError(f"the time limit is {time_limit_seconds:g} s; expected more than 0")
    killed: list[Item] = []
    for outcome in _run(function, items, num_workers=num_workers, limit=time_limit_seconds):
        if outcome.fault != KILLED:
            yield outcome
            continue
        name = getattr(outcome.item, "path", outcome.item)
        log.warning("%s: %s, as the kernel does where memory is short; again later, alone", name, KILLED)
        killed.append(outcome.item)
    yield from _run(function, killed, num_workers=1, limit=time_limit_seconds)


def _run(
    function: Callable[[Item], Iterator[Any]], items: Sequence[Item], *, num_workers: int, limit: float
) -> Iterator[CallResult[Item]]:
    """Call the function once on every item."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["gcvideo.data.decoding"])  # imported once, not in each worker
    waiting = iter(items)
    idle = [_Worker(context, function, limit) for _ in range(min(num_workers, len(items)))]
    busy: dict[Connection, _Worker] = {}
    try:
        while True:
            while idle and (item := next(waiting, _END)) is not _END:
                worker = idle.pop()
                try:
                    worker.begin(item)
                except (BrokenPipeError, EOFError, ConnectionResetError):  # killed while it was idle
                    worker = worker.replaced()
                    worker.begin(item)
                busy[worker.connection] = worker
            if not busy:
                return
            deadline = min(worker.deadline for worker in busy.values())
            ready = wait(list(busy), timeout=max(0.0, deadline - time.monotonic()))
            now = time.monotonic()
            for connection, worker in list(busy.items()):
                fault = None
                if connection in ready:
                    fault, ended = worker.receive()
                elif now >= worker.deadline:
                    fault, ended = f"no answer within {limit:g} s", True
                else:
                    continue
                if not ended:
                    continue
                del busy[connection]
                idle.append(worker if fault is None else worker.replaced())
                yield CallResult(worker.item, worker.results, fault)
    finally:
        for worker in [*idle, *busy.values()]:
            worker.kill()


_END: Any = object()
_FINISHED = "finished"


class _Worker:
    def __init__(self, context: Any, function: Callable[[Any], Iterator[Any]], limit: float) -> None:
        self.made_of = (context, function, limit)
        self.limit = limit
        self.connection, child = context.Pipe()
        self.process = context.Process(target=_serve, args=(child, function, limit), daemon=True)
        self.process.start()
        child.close()
        self.started = False

    def begin(self, item: Any) -> None:
        if not self.started:  # the limit is for the call, not for the imports before it
            self.connection.recv()
            self.started = True
        self.item = item
        self.results: list[Any] = []
        self.deadline = time.monotonic() + self.limit
        self.connection.send(item)

    def receive(self) -> tuple[str | None, bool]:
        """Take one message: (fault, whether the call ended)."""
        try:
            kind, result = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            return _death(self.process.exitcode), True
        if kind == _FINISHED:
            return None, True
        self.results.append(result)
        return None, False

    def replaced(self) -> "_Worker":
        """End this process and begin another."""
        self.kill()
        return _Worker(*self.made_of)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _serve(connection: Connection, function: Callable[[Any], Iterator[Any]], limit: float) -> None:
    """A worker's life. It ends with its parent: while a call hangs, a timer in C sees to that."""
    connection.send("started")
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        faulthandler.dump_traceback_later(limit + _ORPHAN_GRACE_SECONDS, exit=True)
        for result in function(item):
            connection.send(("result", result))
        faulthandler.cancel_dump_traceback_later()
        connection.send((_FINISHED, None))


def _death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return DEATH.format(signal.Signals(-exit_code).name)
    return f"the process ended with exit code {exit_code}"
