"""What keeps a run from losing or spoiling its work."""

import logging
import time
from pathlib import Path
from signal import SIGUSR1
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor
from torch.optim import Optimizer

from gcvideo.clip import ViewBatch
from gcvideo.distributed import any_process, fewest, gather_rows
from gcvideo.keeping.finite import all_finite, gradients, scales_its_loss
from gcvideo.keeping.heartbeat import Presence
from gcvideo.keeping.stopping import NoSignals, Stopped, StopSignals, requeue
from gcvideo.run_folder import RunFolder

log = logging.getLogger(__name__)


class Safeguard(Checkpoint):
    """Saves last.ckpt, stops in order when asked to, and stops before anything is saved that is not finite.

    last.ckpt is written every `every_minutes` (or `every_steps`), before every validation and after every
    epoch, so that a process killed at any moment loses that much at most.

    SIGTERM and SIGUSR1, to any process of the run: all of them finish the step they are in, write last.ckpt
    and end with exit code 143. A validation is not finished: last.ckpt was written before it. In a Slurm job
    SIGUSR1 also asks Slurm to requeue the job.

    A loss or gradient norm that is not finite, in any process, stops all of them before the step changes a
    weight: ValueError, which names the step and the videos of the batch. (Infinite gradients under a loss
    scaler are left to the scaler.)

    When a process is lost, the others end and name it.

    With `writes` set to False no checkpoint is written; all else is the same.

    What one process knows the others learn before every optimizer step, by one all-reduce of five numbers.

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
        self.every_seconds = every_minutes * 60
        self.every_steps = every_steps
        self.writes = True
        self.signals = StopSignals(grace_seconds)
        self.presence = Presence()
        self._saved_step = 0
        self._saved_at = 0.0
        self._stop = self._requeue = self._save = False
        self._training = self._between_steps = self._writing = False
        self._stepped = False
        self._losses: list[Tensor] = []
        self._videos: list[str] = []
        self._common_batches = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == TrainerFn.FITTING:
            trainer._signal_connector = NoSignals(trainer)
            self.signals.may_end = lambda: self._is_idle(trainer)
            self.signals.listen()
            self.presence.begin()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.signals.ignore()
        self.presence.end()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()
        self._training = self._between_steps = True
        self._learn_of_signals(pl_module)
        self._stop_if_asked(trainer)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: ViewBatch, batch_idx: int
    ) -> None:
        # Not when the last step ended: only now have the loggers its numbers.
        self._stop_if_asked(trainer)
        if self._save:
            self._write(trainer)
        self._between_steps = False
        self._videos += batch.video_id

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        self._losses.append(loss.detach())

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        loss_is_finite = torch.stack(self._losses).isfinite().all()
        scaled = scales_its_loss(trainer.precision_plugin)
        gradient_is_finite = all_finite([] if scaled else gradients(pl_module))
        bad_loss, bad_gradient, self._stop, self._requeue, self._save = any_process(
            ~loss_is_finite,
            ~gradient_is_finite,
            self.signals.received is not None,
            self.signals.received == SIGUSR1,
            self._is_due(trainer.global_step + 1),
            device=pl_module.device,
        )
        if bad_loss:
            self._refuse_step(trainer, "loss", here=not loss_is_finite)
        if bad_gradient:
            self._refuse_step(trainer, "gradient norm", here=not gradient_is_finite)
        self._losses, self._videos = [], []
        self._stepped = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: STEP_OUTPUT, batch: Any, batch_idx: int
    ) -> None:
        self._between_steps = self._stepped  # else the step takes the gradients of more batches
        self._stepped = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not _validates_training(trainer):
            return
        if trainer.global_step > self._saved_step:
            self._write(trainer)
        self._stop_if_asked(trainer)
        # Processes may differ by a batch; they can ask each other after those that all of them have.
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
        if not _validates_training(trainer) or batch_idx >= self._common_batches:
            return
        self._learn_of_signals(pl_module)
        self._stop_if_asked(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._writing = False  # of another callback

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # After the best one was written, of which this one then knows.
        self._write(trainer)
        self._stop_if_asked(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._writing = True
        state = [tensor for tensor in checkpoint["state_dict"].values() if tensor.is_floating_point()]
        if not all_finite(state):
            raise ValueError(
                f"weights or statistics are not finite after step {trainer.global_step}; no checkpoint is "
                "written; lower the learning rate"
            )

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Which a broken connection is, with words that differ between backends.
        absent = self.presence.absent() if isinstance(exception, RuntimeError) else []
        self.presence.end()
        if absent:
            names = ", ".join(map(str, absent))
            raise ConnectionError(
                f"process {names} of {trainer.world_size} (counted from 0) is gone or does not answer, see "
                f"there; {self._last_checkpoint(', and --resume auto goes on from it')}"
            ) from exception
        if not isinstance(exception, Stopped):
            return
        if self._between_steps and trainer.global_step > self._saved_step:
            self._write(trainer)
        kept = "--resume auto goes on from there" if self.writes else self._last_checkpoint()
        log.warning("stopped after step %d; %s", trainer.global_step, kept)
        if trainer.is_global_zero and (self._requeue or self.signals.received == SIGUSR1):
            requeue()

    def _is_due(self, step: int) -> bool:
        if self.every_steps is not None:
            return step % self.every_steps == 0
        return time.monotonic() - self._saved_at > self.every_seconds

    def _learn_of_signals(self, pl_module: LightningModule) -> None:
        received = self.signals.received
        self._stop, self._requeue = any_process(
            received is not None, received == SIGUSR1, device=pl_module.device
        )

    def _stop_if_asked(self, trainer: Trainer) -> None:
        if self._stop or (trainer.world_size == 1 and self.signals.received is not None):
            raise Stopped

    def _is_idle(self, trainer: Trainer) -> bool:
        """Whether this process can be stopped at any instruction: it waits for clips, validates, or sets up.

        Only where it is alone; together, processes stop after the same step.
        """
        if trainer.world_size > 1:
            return False
        if not self._training:
            return True
        if self._writing:
            return False
        logged = trainer.fit_loop.epoch_loop._batches_that_stepped == trainer.global_step
        return trainer.validating or (self._between_steps and logged)

    def _last_checkpoint(self, and_then: str = "") -> str:
        if not self.writes:
            return "this run writes no checkpoint"
        return f"the last checkpoint is of step {self._saved_step}{and_then}"

    def _write(self, trainer: Trainer) -> None:
        self._save = False
        if not self.writes:
            return
        trainer.save_checkpoint(RunFolder(Path(trainer.default_root_dir)).last, weights_only=False)
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()
        self._writing = False

    def _refuse_step(self, trainer: Trainer, what: str, *, here: bool) -> None:
        mine: list[dict[str, object]] = [{"process": trainer.global_rank, "videos": ", ".join(self._videos)}]
        found = gather_rows(mine if here else [])
        where = "; ".join(f"in process {row['process']}: {row['videos']}" for row in found)
        if not trainer.is_global_zero:
            raise SystemExit(1)
        raise ValueError(
            f"step {trainer.global_step + 1}: the {what} is not finite; no weight was changed, and "
            f"{self._last_checkpoint()}; lower the learning rate, or see the videos {where}"
        )


def _validates_training(trainer: Trainer) -> bool:
    return trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
