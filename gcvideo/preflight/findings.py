"""What was found, and the limit on how long finding it may take."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum
from typing import NamedTuple, TypeVar

from gcvideo.shortage import shortage

Result = TypeVar("Result")

THREAD = "preflight check"


class Outcome(str, Enum):
    OK = "ok"
    SLOW = "slow"
    FAILED = "FAILED"


class Finding(NamedTuple):
    """What one check found on one process."""

    check: str
    outcome: Outcome
    said: str = ""
    """A figure where all is well, else what is wrong and what would do."""


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """The result of `work`, or what it raises.

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
    """Whether a check that took too long stayed behind."""
    return any(thread.name == THREAD for thread in threading.enumerate())


def attempt(check: str, work: Callable[[], list[Finding]], *, seconds: float) -> list[Finding]:
    """What `work` finds; that it raises or does not end is a finding too."""
    try:
        return within(seconds, work)
    except (ValueError, OSError, RuntimeError) as error:
        said = shortage(error) or " ".join(str(error).split()) or type(error).__name__
        return [Finding(check, Outcome.FAILED, said)]


def differences(values: Mapping[int, Mapping[str, str]]) -> dict[int, list[str]]:
    """By rank, in what it differs from most others; of equally common values the first counts."""
    found: dict[int, list[str]] = {rank: [] for rank in values}
    names = sorted({name for named in values.values() for name in named})
    for name in names:
        by_rank = {rank: named.get(name, "missing") for rank, named in sorted(values.items())}
        usual = Counter(by_rank.values()).most_common(1)[0][0]
        for rank, value in by_rank.items():
            if value != usual:
                found[rank].append(f"{name} is {value}, elsewhere {usual}")
    return found
