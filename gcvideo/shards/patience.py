"""Ask again, after longer and longer waits, until an answer comes or patience ends."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from gcvideo.processes import begin_anew
from gcvideo.shards.errors import TryAgainError, UnreachableError

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 20.0

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long to wait for one answer, and for how long to ask again.

    Args:
        timeout_seconds: For one attempt.
        give_up_seconds: For all attempts together.
    """

    timeout_seconds: float = 20.0
    give_up_seconds: float = 300.0

    def ask(self, what: str, attempt: Callable[[], T]) -> T:
        """Return what an attempt returns, the first that does.

        Waits are drawn at random up to a limit that doubles, so that processes that were refused at once do
        not come back at once.

        Raises:
            UnreachableError: None did in time.
        """
        begun, limit, num_attempts = time.monotonic(), FIRST_WAIT_SECONDS, 0
        while True:
            num_attempts += 1
            try:
                return attempt()
            except TryAgainError as error:
                wait = max(random.uniform(limit / 2, limit), error.after_seconds)
                limit = min(2 * limit, LONGEST_WAIT_SECONDS)
                passed = time.monotonic() - begun
                if passed + wait > self.give_up_seconds:
                    raise UnreachableError(
                        f"{what}: {error}; given up after {num_attempts} attempts in {passed:.0f} s "
                        "(data.shards.give_up_seconds)"
                    ) from None
                log.debug("%s: %s; attempt %d in %.1f s", what, error, num_attempts + 1, wait)
            begin_anew()  # waiting for a server is not the decoder's time
            time.sleep(wait)
            begin_anew()
