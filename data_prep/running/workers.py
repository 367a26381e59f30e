"""Functions that may hang or crash, each call in a process that can be killed."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Generic, NamedTuple, TypeVar

from gcvideo.processes import Cause, Duty, KillableProcess, Loss, ProcessPool

Item = TypeVar("Item")

LONGEST_LIMIT_SECONDS = 1e6

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

    That a process was killed by SIGKILL, as the kernel does where memory is short, or was stopped,
    says nothing against its item: after all others it is called once more, while nothing else runs.

    Args:
        function: What to call; it and what it yields must pickle.
        items: What to call it on.
        num_workers: Number of processes.
        time_limit_seconds: Wall-clock limit of one call.

    Raises:
        ValueError: The limit is not above 0.
    """
    if not 0 < time_limit_seconds <= LONGEST_LIMIT_SECONDS:
        raise ValueError(
            f"the time limit is {time_limit_seconds:g} s; expected more than 0, and at most "
            f"{LONGEST_LIMIT_SECONDS:,.0f}"
        )
    context = get_context("forkserver")
    context.set_forkserver_preload(["gcvideo.data.decoding"])  # imported once, not in each worker
    start = partial(KillableProcess, context, _serve, function, limit=time_limit_seconds)
    suspects: list[Item] = []
    for result, loss in _run(start, items, num_workers=num_workers):
        if loss is None or loss.blames_item or loss.cause is Cause.ENDED:
            yield result
            continue
        name = getattr(result.item, "path", result.item)
        log.warning("%s: %s; again later, alone", name, result.fault)
        suspects.append(result.item)
    for result, _ in _run(start, suspects, num_workers=1):
        yield result


def _run(
    start: Callable[[], KillableProcess], items: Sequence[Item], *, num_workers: int
) -> Iterator[tuple[CallResult[Item], Loss | None]]:
    """Call the function once on every item."""
    pool = ProcessPool(start, receive=Connection.recv)
    waiting = deque(items)
    results: dict[KillableProcess, list[Any]] = {}
    try:
        pool.fill(min(num_workers, len(items)))
        while True:
            for process in pool.processes:
                if waiting and not process.given:
                    process.give(0, waiting.popleft())
                    results[process] = []
            if not any(process.given for process in pool.processes):
                return
            for process, message in pool.events():
                if isinstance(message, tuple) and not isinstance(message, Loss):
                    results[process] += message
                elif process.given:  # and not lost while it had nothing to do
                    item = process.given.pop(0)
                    yield CallResult(item, results.pop(process), _fault(message)), message
    finally:
        pool.close()


def _fault(loss: Loss | None) -> str | None:
    if loss is None or loss.cause is not Cause.LATE:
        return loss and f"the process {loss}"
    return f"no answer within {loss.detail:g} s"


def _serve(duty: Duty, function: Callable[[Any], Iterator[Any]]) -> None:
    """Call the function on each item that is given, and send what it yields."""
    for ticket, item in duty.jobs():
        with duty.working_on(ticket):
            for result in function(item):
                duty.connection.send((result,))
        duty.connection.send(None)  # there are no more
