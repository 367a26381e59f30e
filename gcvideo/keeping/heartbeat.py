"""Which of the processes of a run are still there."""

import threading
from collections.abc import Sequence

import torch.distributed as dist
from torch.distributed.distributed_c10d import _get_default_store

BEAT_SECONDS = 0.5
WAIT_SECONDS = 4.0


class Presence:
    """Tells the other processes, again and again, that this one is there.

    When a process dies, those that wait for it learn of a broken connection and not of whom. Each therefore
    counts, twice a second, where all can see it: in the store through which they found each other.
    """

    def __init__(self) -> None:
        self._over = threading.Event()

    def begin(self) -> None:
        """Count from now on; a process that is alone has nobody to tell."""
        if dist.is_initialized() and dist.get_world_size() > 1:
            threading.Thread(target=self._beat, args=(dist.get_rank(),), daemon=True).start()

    def end(self) -> None:
        """Count no more."""
        self._over.set()

    def absent(self) -> list[int]:
        """The processes that have not counted for some seconds; none where there is only one."""
        if not dist.is_initialized():
            return []
        processes = range(dist.get_world_size())
        try:
            before = _counts(processes)
            self._over.wait(WAIT_SECONDS)
            after = _counts(processes)
        except dist.DistError:
            return [0]  # who keeps the store, unless torchrun does
        return [process for process in processes if before[process] == after[process]]

    def _beat(self, process: int) -> None:
        store = _get_default_store()
        number = 0
        while not self._over.wait(BEAT_SECONDS):
            number += 1
            try:
                store.set(f"presence/{process}", str(number))
            except dist.DistError:
                return  # who keeps the store is gone; the run's own connections tell of it


def _counts(processes: Sequence[int]) -> list[bytes]:
    store = _get_default_store()
    keys = [f"presence/{process}" for process in processes]
    return [store.get(key) if store.check([key]) else b"" for key in keys]
