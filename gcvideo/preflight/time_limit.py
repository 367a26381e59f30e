"""A limit on how long a check may take."""

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

THREAD = "preflight check"


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Return the result of `work`, or raise what it raises.

    It runs in a thread of its own, since no signal ends a call that waits for a dead file server or device.

    Raises:
        TimeoutError: It takes longer; the thread stays behind.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def do() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 (raised again below)
            errors.append(error)

    thread = threading.Thread(target=do, name=THREAD, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return results[0]


def checks_still_running() -> bool:
    """Return whether a check that took too long stayed behind."""
    return any(thread.name == THREAD for thread in threading.enumerate())
