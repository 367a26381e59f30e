"""Put together the callbacks that keep a run from losing or spoiling its work."""

from collections.abc import Sequence

from lightning.pytorch import Callback

from gcvideo.keeping.consensus import Consensus
from gcvideo.keeping.finite import RequireFinite
from gcvideo.keeping.heartbeat import NameLost
from gcvideo.keeping.last_checkpoint import LastCheckpoint
from gcvideo.keeping.stop_in_order import StopInOrder


class Safeguard:
    """Save last.ckpt, stop in order when asked to, and stop before anything is saved that is not finite.

    These are the settings of four callbacks that every training has: `LastCheckpoint`, `StopInOrder`,
    `RequireFinite` and `NameLost`. What one process knows the others learn before every optimizer step, by
    one all-reduce of five numbers.

    Args:
        every_minutes: Minutes of training between two checkpoints.
        every_steps: Optimizer steps between two checkpoints; every_minutes is not used then.
        grace_seconds: How long the run may take to stop; a process that is still there is ended.

    Raises:
        ValueError: A number is not positive.
    """

    def __init__(
        self,
        *,
        every_minutes: float = 10.0,
        every_steps: int | None = None,
        grace_seconds: float = 25.0,
    ) -> None:
        for name, number in {
            "every_minutes": every_minutes,
            "every_steps": every_steps,
            "grace_seconds": grace_seconds,
        }.items():
            if number is not None and number <= 0:
                raise ValueError(f"{name} is {number}; expected more than 0")
        self.every_minutes = every_minutes
        self.every_steps = every_steps
        self.grace_seconds = grace_seconds

    def callbacks(self, *, writes: bool) -> Sequence[Callback]:
        """Return the callbacks of one training, which stand behind all others in this order.

        Args:
            writes: Whether checkpoints are written; all else is the same without.
        """
        consensus = Consensus()
        last = LastCheckpoint(
            consensus, every_seconds=60 * self.every_minutes, every_steps=self.every_steps, writes=writes
        )
        finite = RequireFinite(consensus, last)
        stop = StopInOrder(consensus, last, grace_seconds=self.grace_seconds)
        return [consensus, finite, NameLost(last), last, stop]
