"""Ranks that exchange what they found through a key-value store, so that one that is stuck is named."""

import json
import os
import time
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from torch.distributed import (
    HashStore,  # pyright: ignore[reportPrivateImportUsage]
    PrefixStore,  # pyright: ignore[reportPrivateImportUsage]
    Store,  # pyright: ignore[reportPrivateImportUsage]
    TCPStore,  # pyright: ignore[reportPrivateImportUsage]
)

from gcvideo.distributed import LaunchedRank
from gcvideo.preflight.time_limit import within

POLL_SECONDS = 0.05
CLOCK_READINGS = 3
PATIENCE_SECONDS = 5.0
"""How much longer rank 0 is waited for than it waits itself."""


class AbsentError(RuntimeError):
    """Raised if ranks said nothing within the time."""

    def __init__(self, ranks: Iterable[int]) -> None:
        self.ranks = sorted(ranks)
        super().__init__(f"nothing was heard from rank {', '.join(map(str, self.ranks))}")


class Rendezvous:
    """The ranks of one job around a store.

    Args:
        store: What all of them see.
        launched: Which rank this is.
    """

    def __init__(self, store: Store, launched: LaunchedRank) -> None:
        self.store = store
        self.launched = launched
        self.awaited: set[int] = set()
        """Rank 0: whose word on the present topic has not come."""

    @classmethod
    def join(cls, launched: LaunchedRank, *, seconds: float) -> "Rendezvous":
        """Connect to the store, without waiting for the other ranks.

        Raises:
            OSError: Nobody answers at rank 0's address.
        """
        if launched.world_size == 1:
            return cls(HashStore(), launched)
        agent_has_it = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        try:
            store = TCPStore(
                launched.master_address,
                launched.master_port,
                launched.world_size,
                is_master=launched.rank == 0 and not agent_has_it,
                timeout=timedelta(seconds=seconds),
                wait_for_workers=False,
            )
        except RuntimeError as error:
            raise OSError(
                f"rank {launched.rank}: no way to {launched.master_address}:{launched.master_port}, where "
                f"ranks meet, within {seconds:g} s ({str(error).splitlines()[0]})"
            ) from error
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return cls(PrefixStore(f"preflight/{attempt}", store), launched)

    def gather(self, topic: str, word: Any, *, seconds: float) -> dict[int, Any]:
        """Return, on rank 0, what every rank says on a topic; on the others nothing, once all have spoken.

        Raises:
            AbsentError: Some said nothing for `seconds`; raised on all ranks that did.
        """
        if self.launched.rank > 0:
            self.store.set(f"{topic}/{self.launched.rank}", json.dumps(word))
            missing = self.await_word(f"{topic}/missing", seconds=2 * seconds + PATIENCE_SECONDS)
            if missing:
                raise AbsentError(missing)
            return {}
        heard = {0: word}
        self.awaited = set(range(1, self.launched.world_size))
        deadline = time.monotonic() + seconds
        while self.awaited and time.monotonic() < deadline:
            for rank in sorted(self.awaited):
                if self.store.check([f"{topic}/{rank}"]):
                    heard[rank] = json.loads(self.store.get(f"{topic}/{rank}"))
            self.awaited -= heard.keys()
            time.sleep(POLL_SECONDS if self.awaited else 0)
        self.store.set(f"{topic}/missing", json.dumps(sorted(self.awaited)))
        if self.awaited:
            raise AbsentError(self.awaited)
        return heard

    def await_word(self, key: str, *, seconds: float) -> Any:
        """Return what rank 0 says under a key.

        Raises:
            AbsentError: It says nothing for `seconds`, or its store is gone.
        """

        def word() -> Any:
            while not self.store.check([key]):
                time.sleep(POLL_SECONDS)
            return json.loads(self.store.get(key))

        try:
            return within(seconds, word)  # a store whose process is stuck never answers
        except (RuntimeError, TimeoutError) as error:
            raise AbsentError([0]) from error

    def all_agree(self, topic: str, here: bool, *, seconds: float) -> bool:
        """Return, on every rank, whether it is so on all of them.

        Raises:
            AbsentError: Some ranks said nothing.
        """
        agreed = self.gather(topic, here, seconds=seconds)
        if self.launched.rank == 0:
            self.store.set(f"{topic}/agreed", json.dumps(all(agreed.values())))
        return self.await_word(f"{topic}/agreed", seconds=seconds)

    def shared_token(self, *, seconds: float) -> str:
        """Return a random word, the same on every rank."""
        if self.launched.rank == 0:
            self.store.set("token", json.dumps(uuid.uuid4().hex))
        return self.await_word("token", seconds=seconds)

    def conclude(self, code: int, *, absent: set[int], seconds: float) -> None:
        """Say on rank 0 how it ended, and wait until the others know."""
        self.store.set("exit code", json.dumps(code))
        others = set(range(1, self.launched.world_size)) - absent
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not all(self.store.check([f"bye/{r}"]) for r in others):
            time.sleep(POLL_SECONDS)

    def exit_code(self, *, seconds: float) -> int:
        """Return how it ended, as rank 0 says.

        Raises:
            AbsentError: It does not say.
        """
        code = self.await_word("exit code", seconds=seconds)
        self.store.set(f"bye/{self.launched.rank}", "")
        return code

    def clock_offsets(self, *, seconds: float) -> dict[int, float]:
        """Return, on rank 0, by how many seconds each rank's clock is ahead of its own.

        Rank 0 asks at t0, rank r answers with its time t, which arrives at t1: the offset is
        t - (t0 + t1) / 2, within (t1 - t0) / 2. The quickest of a few answers counts.

        Raises:
            AbsentError: A rank does not answer.
        """
        limit = timedelta(seconds=seconds)
        # Answer as often as rank 0 asks.
        if self.launched.rank > 0:
            for number in range(CLOCK_READINGS):
                asked, answer = self._clock_keys(self.launched.rank, number)
                self._wait(asked, limit, whose=0)
                self.store.set(answer, repr(time.time()))
            return {}
        # Ask one rank after the other.
        offsets = {0: 0.0}
        for rank in range(1, self.launched.world_size):
            readings = []
            for number in range(CLOCK_READINGS):
                asked, answer = self._clock_keys(rank, number)
                before = time.time()
                self.store.set(asked, "")
                self._wait(answer, limit, whose=rank)
                after = time.time()
                readings.append((after - before, float(self.store.get(answer)) - (before + after) / 2))
            offsets[rank] = min(readings)[1]
        return offsets

    def _clock_keys(self, rank: int, number: int) -> tuple[str, str]:
        return f"clock/{rank}/{number}/asked", f"clock/{rank}/{number}/answer"

    def _wait(self, key: str, limit: timedelta, *, whose: int) -> None:
        try:
            self.store.wait([key], limit)
        except RuntimeError as error:
            raise AbsentError([whose]) from error
