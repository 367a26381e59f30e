"""What a run says when it is over."""

import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, Timer
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from gcvideo.evaluation.figures import result_table, rounded
from gcvideo.keeping.epochs import steps_of_run
from gcvideo.keeping.resuming import has_stopped
from gcvideo.printable import printable
from gcvideo.run_folder import Evaluated, RunFolder

log = logging.getLogger(__name__)


def say_best(run: RunFolder, checkpoint: ModelCheckpoint, *, next_command: str) -> None:
    """Say the best value, the file that it is in, and the command to go on with; nothing where no file is."""
    kept = run.checkpoints / Path(checkpoint.best_model_path).name  # as the user names the folder
    best = run.best if run.best.is_file() else kept
    if (
        checkpoint.best_model_path
        and checkpoint.best_model_score is not None
        and checkpoint.monitor is not None
    ):
        value = rounded(checkpoint.monitor, float(checkpoint.best_model_score))
        log.info("best %s %s: %s", checkpoint.monitor, value, best)
    elif run.last.is_file():
        best = run.last
        log.info("nothing was validated; the newest checkpoint: %s", best)
    if best.is_file() and run.config.is_file():
        line = ["gcvideo", *next_command.split(), "--config", str(run.config), "--ckpt_path", str(best)]
        log.info("next: %s", shlex.join(line))


def say_early_end(trainer: Trainer, callbacks: Sequence[Callback]) -> None:
    """Say where a run ended before its last step, which callbacks have ended it, and why."""
    steps = steps_of_run(trainer)
    if trainer.global_step >= steps:
        return
    stoppers = [callback for callback in callbacks if isinstance(callback, EarlyStopping)]
    reasons = [f"EarlyStopping: {reason_of(stopper)}" for stopper in stoppers if has_stopped(stopper)]
    timers = [type(callback).__name__ for callback in callbacks if isinstance(callback, Timer)]
    by = " or ".join(reasons or timers)
    log.info("ended early, after step %d of %d%s", trainer.global_step, steps, f", by {by}" if by else "")
    if reasons:
        log.info("to go on, resume it with more patience, or without EarlyStopping")


def reason_of(stopper: EarlyStopping) -> str:
    """Return why early stopping has ended a run, by the words that figures have here."""
    name, best = stopper.monitor, rounded(stopper.monitor, float(stopper.best_score))
    match stopper.stopping_reason:
        case EarlyStoppingReason.PATIENCE_EXHAUSTED:
            return f"{name} was not better than {best} for a patience of {stopper.patience}"
        case EarlyStoppingReason.NON_FINITE_METRIC:
            return f"{name} is not finite; the best was {best}"
        case EarlyStoppingReason.STOPPING_THRESHOLD:
            return f"{name} has reached {rounded(name, stopper.stopping_threshold or 0.0)}"
        case _:
            return f"{name} is past {rounded(name, stopper.divergence_threshold or 0.0)}"


def show_figures(title: str, metrics: Mapping[str, float], *, num_classes: int, file: Path) -> None:
    """Write a table of rounded figures to standard output."""
    sys.stdout.write(f"{printable(title)}\n{result_table(metrics, num_classes=num_classes)}")
    log.info("the figures in full: %s", file)


def num_evaluated(trainer: Trainer, evaluated: Evaluated) -> int:
    """Return how many videos the figures are of: all of the list, unless batches are limited."""
    loader, batches = {
        "val": (trainer.val_dataloaders, trainer.num_val_batches),
        "test": (trainer.test_dataloaders, trainer.num_test_batches),
    }[evaluated]
    assert loader is not None  # it was evaluated
    num_videos, processes = len(loader.dataset), trainer.world_size
    shares = (len(range(rank, num_videos, processes)) for rank in range(processes))
    return sum(min(share, int(sum(batches)) * loader.batch_size) for share in shares)
