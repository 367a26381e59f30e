"""Find out which ranks of a run are still there."""

import threading
from collections.abc import Sequence

import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from gcvideo.keeping.last_checkpoint import LastCheckpoint
from gcvideo.private_names import default_store

BEAT_SECONDS = 0.5
WAIT_SECONDS = 4.0


class Heartbeat:
    """Tell the other ranks, again and again, that this one is there.

    If a rank dies, those that wait for it learn of a broken connection and not of whom. Each therefore
    counts, twice a second, where all can see it: in the store through which they found each other.
    """

    def __init__(self) -> None:
        self._over = threading.Event()

    def begin(self) -> None:
        """Count from now on; a rank that is alone has nobody to tell."""
        if dist.is_initialized() and dist.get_world_size() > 1:
            threading.Thread(target=self._beat, args=(dist.get_rank(),), daemon=True).start()

    def end(self) -> None:
        """Count no more."""
        self._over.set()

    def absent(self) -> list[int]:
        """Return the ranks that have not counted for some seconds; none if there is only one."""
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
        store = default_store()
        number = 0
        while not self._over.wait(BEAT_SECONDS):
            number += 1
            try:
                store.set(f"heartbeat/{process}", str(number))
            except dist.DistError:
                return  # who keeps the store is gone; the run's own connections tell of it


class NameLost(Callback):
    """Name the rank that is gone, where the others only learn of a broken connection.

    Args:
        last: What writes last.ckpt.

    Raises:
        ConnectionError: A rank is gone or does not answer.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self.last = last
        self.heartbeat = Heartbeat()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.heartbeat.begin()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.heartbeat.end()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Which a broken connection is, with words that differ between backends.
        absent = self.heartbeat.absent() if isinstance(exception, RuntimeError) else []
        self.heartbeat.end()
        if absent:
            names = ", ".join(map(str, absent))
            of = f"of {trainer.world_size} (counted from 0)"
            said = f"process {names} {of} is gone or does not answer, see there"
            if trainer.state.fn == TrainerFn.FITTING:
                said += f"; {self.last.described(', and --resume auto goes on from it')}"
            raise ConnectionError(said) from exception


def _counts(processes: Sequence[int]) -> list[bytes]:
    store = default_store()
    keys = [f"heartbeat/{process}" for process in processes]
    return [store.get(key) if store.check([key]) else b"" for key in keys]
