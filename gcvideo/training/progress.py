"""What is seen of a run while it runs."""

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar, RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import CustomBarColumn
from lightning.pytorch.trainer.states import TrainerFn
from rich.console import Console
from rich.progress import ProgressColumn, Task, TextColumn
from rich.text import Text

from gcvideo.evaluation.figures import rounded
from gcvideo.private_names import epoch_described
from gcvideo.training.time_left import Plan, TimeLeft

log = logging.getLogger(__name__)

REFRESHES_PER_SECOND = 4


class RunProgress(RichProgressBar):
    """Lightning's bar, on standard error, with the time that the whole run still takes.

    A line of the log says what each validation found, and when an epoch without one is done. Where standard
    error is no terminal, these lines are all there is: no bar, no control characters.

    Lightning's own shows the figures of its sanity check, which saw two batches and no training, until the
    first step is done.
    """

    def __init__(self) -> None:
        console = Console(stderr=True)
        refreshes = REFRESHES_PER_SECOND if console.is_interactive else 0
        super().__init__(refreshes, console_kwargs={"stderr": True})
        self.bar_width = 20 if console.width >= 120 else 10
        self.time_left = TimeLeft(None)
        self.said_after = 0
        """Steps after which a line was last written."""

    def configure_columns(self, trainer: Trainer) -> list[ProgressColumn]:
        return [
            TextColumn("[progress.description]{task.description}"),
            CustomBarColumn(bar_width=self.bar_width),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            _Speed(),
            _Remaining(self),
        ]

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        figures = super().get_metrics(trainer, pl_module)
        figures.pop("val/loss", None)  # for the bar's width; it stands in the log
        return _texts(figures)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self.time_left = TimeLeft(Plan.of(trainer))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        if self.progress is not None and self.train_progress_bar_id is not None:
            begun = trainer.fit_loop.epoch_loop.batch_progress.current.ready  # all, of an epoch before
            resumed_at = begun if begun < self.total_train_batches else 0
            self.progress.reset(self.train_progress_bar_id, completed=resumed_at)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.time_left.after_batch(trainer.fit_loop.total_batch_idx + 1)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            self.reset_dataloader_idx_tracker()
            return
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn == TrainerFn.FITTING:
            self.time_left.after_validation()
            figures = {name: v for name, v in trainer.progress_bar_metrics.items() if name.startswith("val/")}
            self._say(trainer, _texts(figures))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if self.said_after != trainer.global_step:
            self._say(trainer, {})

    def _say(self, trainer: Trainer, figures: Mapping[str, str]) -> None:
        self.said_after = trainer.global_step
        facts = [f"{name} {text}" for name, text in figures.items()]
        seconds = self.time_left.seconds
        if seconds:
            facts.append(f"{duration(seconds)} left")
        epoch = epoch_described(self, trainer.current_epoch)
        log.info("%s, step %d: %s", epoch, trainer.global_step, ", ".join(facts) or "done")


def with_progress(callbacks: Sequence[Callback]) -> list[Callback]:
    """Return `callbacks` and a RunProgress, unless one of them is a bar already."""
    has_bar = any(isinstance(callback, ProgressBar) for callback in callbacks)
    return [*callbacks] if has_bar else [*callbacks, RunProgress()]


def duration(seconds: float) -> str:
    """Return "1:02:03"."""
    return str(timedelta(seconds=round(seconds)))


def _texts(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures as they are shown; what is text already stays."""
    return {
        name: rounded(name, float(value)) if isinstance(value, int | float | torch.Tensor) else value
        for name, value in figures.items()
    }


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.3g} it/s")


class _Remaining(ProgressColumn):
    """What the run takes, beside its training; or this pass alone, where that is a validation or test."""

    def __init__(self, progress: RunProgress) -> None:
        super().__init__()
        self.run = progress

    def render(self, task: Task) -> Text:
        if task.id == self.run.train_progress_bar_id:
            seconds, of = self.run.time_left.seconds, "run: "
        else:
            seconds, of = task.time_remaining, ""
        return Text("" if seconds is None else f"{of}{duration(seconds)} left", style="dim")
