"""Let a run that is asked to stop save its last step and end."""

import logging
from signal import SIGUSR1
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch.optim import Optimizer

from gcvideo.distributed import fewest
from gcvideo.keeping.consensus import Consensus
from gcvideo.keeping.last_checkpoint import LastCheckpoint, validates_training
from gcvideo.keeping.stopping import Stopped, StopSignals, requeue
from gcvideo.private_names import batches_that_stepped, leave_signals

log = logging.getLogger(__name__)


class StopInOrder(Checkpoint):
    """End all ranks after the step they are in, with last.ckpt, if any of them is asked to stop.

    SIGTERM and SIGUSR1, to any rank, ask for it; the exit code is 143. A validation is not
    finished: last.ckpt was written before it. In a Slurm job SIGUSR1 also asks Slurm to requeue the job.

    It stands behind `last` and all other callbacks that save, as Lightning leaves it.

    Args:
        consensus: Where the ranks agree to stop.
        last: What writes last.ckpt.
        grace_seconds: How long the run may take to stop; a process that is still there is ended.
    """

    def __init__(self, consensus: Consensus, last: LastCheckpoint, *, grace_seconds: float) -> None:
        self.consensus = consensus
        self.last = last
        self.signals = StopSignals(grace_seconds)
        self._asked = consensus.add(lambda *_: self.signals.received is not None)
        self._requeue = consensus.add(lambda *_: self.signals.received == SIGUSR1)
        self._training = self._between_steps = self._stepped = self._saving = False
        self._common_batches = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == TrainerFn.FITTING:
            leave_signals(trainer)
            self.signals.may_end = lambda: self._is_idle(trainer)
            self.signals.listen()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.signals.ignore()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._training = self._between_steps = True
        self._stop_if_asked_anywhere(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._saving = False
        self._stop_if_asked(trainer)
        self._between_steps = False

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        self._stepped = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: STEP_OUTPUT, batch: Any, batch_idx: int
    ) -> None:
        self._between_steps = self._stepped  # else the step takes the gradients of more batches
        self._stepped = False

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._saving = True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not validates_training(trainer):
            return
        self._saving = False
        self._stop_if_asked(trainer)
        # Ranks may differ by a batch; they can ask each other after those that all of them have.
        self._common_batches = fewest(int(sum(trainer.num_val_batches)), device=pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if validates_training(trainer) and batch_idx < self._common_batches:
            self._stop_if_asked_anywhere(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saving = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saving = False
        self._stop_if_asked(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if not isinstance(exception, Stopped):
            self.signals.ignore()  # Lightning calls no teardown then
            return
        if self._between_steps and trainer.global_step > self.last.step:
            self.last.write(trainer)
        kept = "--resume auto goes on from there" if self.last.writes else self.last.described()
        log.warning("stopped after step %d; %s", trainer.global_step, kept)
        if trainer.is_global_zero and (self._requeue.anywhere or self.signals.received == SIGUSR1):
            requeue()

    def _stop_if_asked_anywhere(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.consensus.ask(trainer, pl_module, self._asked, self._requeue)
        self._stop_if_asked(trainer)

    def _stop_if_asked(self, trainer: Trainer) -> None:
        if self._asked.anywhere or (trainer.world_size == 1 and self.signals.received is not None):
            raise Stopped

    def _is_idle(self, trainer: Trainer) -> bool:
        """Return whether the run can be stopped at any instruction: it waits, validates or sets up.

        Only if there is one rank; together, ranks stop after the same step.
        """
        if trainer.world_size > 1:
            return False
        if not self._training:
            return True
        if self._saving:
            return False
        logged = batches_that_stepped(trainer) == trainer.global_step
        return trainer.validating or (self._between_steps and logged)
