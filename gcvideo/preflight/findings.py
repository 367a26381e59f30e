"""What the checks found."""

from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum
from typing import NamedTuple

from gcvideo.preflight.time_limit import within
from gcvideo.shortage import shortage


class Status(str, Enum):
    OK = "ok"
    SLOW = "slow"
    FAILED = "FAILED"


class Finding(NamedTuple):
    """What one check found on one process."""

    check: str
    status: Status
    said: str = ""
    """A figure where all is well, else what is wrong and what would do."""


def attempt(check: str, work: Callable[[], list[Finding]], *, seconds: float) -> list[Finding]:
    """What `work` finds; that it raises or does not end is a finding too."""
    try:
        return within(seconds, work)
    except (ValueError, OSError, RuntimeError) as error:
        said = shortage(error) or " ".join(str(error).split()) or type(error).__name__
        return [Finding(check, Status.FAILED, said)]


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
