"""Let a resumed run go on with the batch after the last one it trained on."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import STEP_OUTPUT

from gcvideo.keeping.epochs import batches_of_epochs
from gcvideo.keeping.metrics_file import MetricsFile
from gcvideo.private_names import is_validation_due, set_batches_that_stepped

log = logging.getLogger(__name__)


@runtime_checkable
class SkipsBatches(Protocol):
    """A training loader that can begin an epoch in its middle."""

    @property
    def order_fingerprint(self) -> str:
        """Return what the order of every epoch follows from: equal for equal videos, labels and seed."""
        ...

    def skip(self, num_batches: int) -> None:
        """Let the next epoch's iteration begin at this batch, without reading those before it."""
        ...


class Place(NamedTuple):
    """How far a run has come."""

    epoch: int
    """Epochs that are over."""
    batches: int
    """Batches of the next epoch that were trained on."""
    whole: bool
    """Whether these are all of the epoch, so that only its validation and its end remain."""
    validated: bool
    """Whether a validation that was due after them is done."""


class ExactResume(Callback):
    """Let a run that is resumed, within an epoch or between two, end as one that was never stopped.

    Three things decide what a training step does. Weights and optimizer are in the checkpoint. The batch
    depends on (seed, epoch, place in the epoch); the place is counted here, in batches trained on (a loader
    may have read ahead), and on resuming the trainer's counters and the loader are put there. Blending and
    dropout depend on (seed, batches trained on, process), since torch's generators are seeded from them after
    every step.

    Lightning 2.6 alone reads the epoch again from its beginning, forgets a validation that was due, and
    leaves out on_train_epoch_start.

    The number of processes may change. The clips of a step and the steps of an epoch may not, since place and
    learning rate count in them, nor within an epoch the videos and the seed that its order follows from.

    Raises:
        ValueError: A checkpoint is resumed with another global batch or other steps per epoch, or within an
            epoch of another order.
    """

    def __init__(self) -> None:
        self.place = Place(0, 0, False, False)
        self.seed: int | None = None
        self.steps: dict[str, int] = {}
        self.order: str | None = None
        self.processes = 1
        self.resumed: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        return {
            "place": self.place._asdict(),
            "seed": self.seed,
            "steps": self.steps,
            "order": self.order,
            "processes": self.processes,
        }

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        rows = sum(logger.num_rows for logger in trainer.loggers if isinstance(logger, MetricsFile))
        checkpoint["callbacks"][self.state_key]["rows"] = rows

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        follow_folder(checkpoint["callbacks"], trainer.checkpoint_callbacks)
        if trainer.state.fn != TrainerFn.FITTING:
            return
        follow_patience(checkpoint["callbacks"], trainer.early_stopping_callbacks)
        self.resumed = checkpoint["callbacks"].get(self.state_key)
        if self.resumed is not None:
            self.place, self.seed = Place(**self.resumed["place"]), self.resumed["seed"]
            set_progress(checkpoint["loops"]["fit_loop"], self.place)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # What the place counts in, here.
        self.processes = trainer.world_size
        batches_of_a_step = trainer.world_size * trainer.accumulate_grad_batches
        self.steps = {
            **_batches_counted(trainer),
            "clips of a step": int(pl_module.hparams["batch_size"]) * batches_of_a_step,
        }
        loader = trainer.train_dataloader
        self.order = loader.order_fingerprint if isinstance(loader, SkipsBatches) else None
        # Compare with the checkpoint, and begin at its place.
        rows = 0
        if self.resumed is not None:
            self._require_the_same_steps(self.resumed["steps"])
            self._require_the_same_order(self.resumed.get("order"))
            self._say_other_processes(self.resumed.get("processes", self.processes))
            begin_at(trainer, self.place)
            rows = self.resumed["rows"]
            self.resumed = None
            trainer.should_stop |= any(map(has_stopped, trainer.early_stopping_callbacks))
        # Log and draw as the run that was stopped would have.
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile):
                logger.continue_after(rows, step=trainer.global_step)
        if self.seed is None:
            self.seed = trainer.strategy.broadcast(torch.initial_seed())
        self._seed_next_step(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: STEP_OUTPUT, batch: Any, batch_idx: int
    ) -> None:
        self.place = Place(trainer.current_epoch, batch_idx + 1, trainer.is_last_batch, False)
        self._seed_next_step(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self.place = self.place._replace(validated=True)
            self._seed_next_step(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.place.whole:  # not where max_steps ends a run within an epoch
            self.place = Place(trainer.current_epoch + 1, 0, False, False)
        if isinstance(trainer.train_dataloader, SkipsBatches):
            trainer.train_dataloader.skip(0)  # where an epoch was resumed at its end, no batch was asked for

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.resumed is not None:  # training did not start
            log.info(
                "nothing is left to do: %d of %s epochs are over; raise trainer.max_epochs to go on",
                self.place.epoch,
                trainer.max_epochs,
            )

    def _seed_next_step(self, trainer: Trainer) -> None:
        assert self.seed is not None
        seed_step(self.seed, batches=trainer.fit_loop.total_batch_idx + 1, process=trainer.global_rank)

    def _require_the_same_steps(self, saved: dict[str, int]) -> None:
        for name in {**saved, **self.steps}:
            before, now = saved.get(name, "no"), self.steps.get(name, "no")
            if before != now:
                raise ValueError(
                    f"the checkpoint counts {before} {name}, and this run {now}; resume with the same lists, "
                    "batch_size * processes * accumulate_grad_batches and data.multigrid, or start a new run "
                    "from its weights: --model.weights.path"
                )

    def _say_other_processes(self, saved: int) -> None:
        if saved != self.processes:
            log.warning(
                "%d processes (was %d): steps have the same videos, which batch norms see in other groups",
                self.processes,
                saved,
            )

    def _require_the_same_order(self, saved: str | None) -> None:
        if saved is None or saved == self.order:
            return
        if self.place.batches > 0:
            raise ValueError(
                f"the checkpoint stands {self.place.batches} batches into epoch {self.place.epoch}, and the "
                "training list (videos, checksums, labels or their order), data.seed or data.train_order is "
                "another than then, so that some videos would come twice and others never; put them back, or "
                "start a new run from its weights: --model.weights.path"
            )
        log.warning(
            "the training list, data.seed or data.train_order has changed; epochs from here on follow "
            "the new ones"
        )


def _batches_counted(trainer: Trainer) -> dict[str, int]:
    """Return the number of batches of an epoch; where it changes, from which epoch on it is how many."""
    numbers = batches_of_epochs(trainer)
    if numbers is None:
        return {"batches of an epoch": int(trainer.num_training_batches)}
    begins = [epoch for epoch, number in enumerate(numbers) if epoch == 0 or number != numbers[epoch - 1]]
    return {f"batches an epoch from epoch {epoch} on": numbers[epoch] for epoch in begins}


def seed_step(seed: int, *, batches: int, process: int) -> None:
    """Seed torch's generators of all devices for the step after so many batches."""
    state = np.random.SeedSequence([seed, batches, process]).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0] >> np.uint64(1)))


def follow_folder(states: dict[str, Any], callbacks: Sequence[Checkpoint]) -> None:
    """Let the states of callbacks name the checkpoints of a run where they are, if its folder was moved.

    Lightning alone forgets the best score then, and a worse checkpoint replaces the best one.
    """
    for callback in callbacks:
        state = states.get(callback.state_key)
        if not isinstance(callback, ModelCheckpoint) or state is None:
            continue
        old, new = state["dirpath"], callback.dirpath
        if not (Path(new or "") / Path(state["best_model_path"]).name).is_file():
            continue  # another run, which begins with this checkpoint
        state["dirpath"] = new
        for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
            state[name] = state[name].replace(old, str(new))
        models = state["best_k_models"]
        state["best_k_models"] = {path.replace(old, str(new)): score for path, score in models.items()}


def follow_patience(states: dict[str, Any], callbacks: Sequence[EarlyStopping]) -> None:
    """Let early stopping have the patience that is asked for now; Lightning alone takes the old one.

    A run that had ended for want of patience goes on with more of it.
    """
    for callback in callbacks:
        state = states.get(callback.state_key)
        if state is None:
            continue
        state["patience"] = callback.patience
        exhausted = state.get("stopping_reason") == EarlyStoppingReason.PATIENCE_EXHAUSTED.value
        if exhausted and state["wait_count"] < callback.patience:
            state.update(stopping_reason=EarlyStoppingReason.NOT_STOPPED.value, stopping_reason_message=None)


def has_stopped(callback: EarlyStopping) -> bool:
    """Return whether early stopping has asked for the end of the run; min_epochs may put it off."""
    return callback.stopping_reason != EarlyStoppingReason.NOT_STOPPED


def set_progress(loops: dict[str, Any], place: Place) -> None:
    """Write a place into the counters of a checkpoint's fit loop, in the form from which Lightning goes on.

    Every batch that was begun is completed. The epoch is ready to be begun: Lightning calls its start hooks.
    """
    _count(loops["epoch_progress"], total=place.epoch, current=place.epoch)
    if place.batches > 0:
        for progress in loops["epoch_progress"].values():
            progress["ready"] = place.epoch + 1
    batches = loops["epoch_loop.batch_progress"]
    _count(batches, total=batches["total"]["processed"], current=place.batches)
    batches["is_last_batch"] = place.whole
    # A validation that was begun and has completed nothing is the one that Lightning catches up on.
    validation = loops["epoch_loop.val_loop.batch_progress"]
    _count(validation, total=0, current=0)
    if place.batches > 0 and not place.validated:
        validation["total"].update(ready=1, started=1)


def begin_at(trainer: Trainer, place: Place) -> None:
    """Put a trainer whose counters were loaded, and its training loader, at a place.

    Raises:
        ValueError: The place is within an epoch, and the loader cannot begin there.
    """
    if place.batches == 0:
        trainer.fit_loop.restarting = False  # an epoch like any other
        validating = False
    else:
        loader = trainer.train_dataloader
        if not isinstance(loader, SkipsBatches):
            raise ValueError(
                f"the checkpoint stands {place.batches} batches into epoch {place.epoch}, where a "
                f"{type(loader).__name__} cannot begin; give the trainer a loader with skip(num_batches)"
            )
        loader.skip(place.batches)
        warnings.filterwarnings("ignore", message=r".*your dataloader is not resumable")
        validating = is_validation_due(trainer)
    # The step that loggers are told; it rises after the validation.
    set_batches_that_stepped(trainer, trainer.global_step - validating)
    log.info("resumed after step %d: epoch %d, batch %d", trainer.global_step, place.epoch, place.batches)


def _count(progress: dict[str, Any], *, total: int, current: int) -> None:
    for name, number in {"total": total, "current": current}.items():
        progress[name].update(dict.fromkeys(progress[name], number))
