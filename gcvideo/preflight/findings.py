"""Findings of the checks."""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from gcvideo.preflight.time_limit import within
from gcvideo.shortage import shortage


class Status(str, Enum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"


class Finding(NamedTuple):
    """What one check found on one rank."""

    check: str
    status: Status
    said: str = ""
    """A figure where all is well, else what is wrong and what would do."""


def attempt(check: str, work: Callable[[], list[Finding]], *, seconds: float) -> list[Finding]:
    """Return what `work` finds; if it raises or does not end in time, that is a finding too."""
    try:
        return within(seconds, work)
    except (ValueError, OSError, RuntimeError) as error:
        said = shortage(error) or " ".join(str(error).split()) or type(error).__name__
        return [Finding(check, Status.FAILED, said)]
