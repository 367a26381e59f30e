"""The items of a step that its journal does not have yet, each in a process that can be killed."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from data_prep.running.console import progress_bar
from data_prep.running.journal import FileState, Journal
from data_prep.running.workers import CallResult, run_killable

Row = dict[str, Any]


class Named(Protocol):
    """An item that the lists know by its path."""

    @property
    def path(self) -> str:
        """Return how the lists name it."""
        ...


Item = TypeVar("Item", bound=Named)


def run_unfinished(
    function: Callable[[Item], Iterator[Row]],
    items: Sequence[Item],
    *,
    step: str,
    journal: Journal,
    state_of: Callable[[Item], FileState],
    is_done: Callable[[Item, Row], bool],
    row_of: Callable[[CallResult[Item]], Row],
    num_workers: int,
    time_limit_seconds: float,
) -> dict[str, Row]:
    """Call a generator function on every item that is not done, and record its row; return all rows by path.

    Args:
        function: What to call, in worker processes (`run_killable`).
        items: The items of the step.
        step: What the progress bar says is done to them.
        journal: Where rows are recorded, as soon as they are there.
        state_of: What an item looks like now; an item that looks different is done again.
        is_done: Whether a recorded row still counts.
        row_of: The row of a call that is over; what it raises ends the step before the row is recorded.
        num_workers: Number of processes.
        time_limit_seconds: Wall-clock limit of one call.
    """
    rows: dict[str, Row] = {}
    waiting = []
    for item in items:
        row = journal.row_of(item.path, state_of(item))
        if row is not None and is_done(item, row):
            rows[item.path] = row
        else:
            waiting.append(item)
    with progress_bar() as bar:
        progress = bar.add_task(step, total=len(items), completed=len(rows))
        for result in run_killable(
            function, waiting, num_workers=num_workers, time_limit_seconds=time_limit_seconds
        ):
            row = row_of(result)
            journal.add(result.item.path, state_of(result.item), row)
            rows[result.item.path] = row
            bar.advance(progress)
    return rows
