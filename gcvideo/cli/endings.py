"""What a run says when it is over."""

import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, Timer

from gcvideo.evaluation.figures import result_table, rounded
from gcvideo.printable import printable
from gcvideo.run_folder import Evaluated, RunFolder

log = logging.getLogger(__name__)


def say_best(run: RunFolder, checkpoint: ModelCheckpoint, *, next_command: str) -> None:
    """Say the best value, the file that it is in, and the command to go on with; nothing where no file is."""
    best = run.checkpoints / Path(checkpoint.best_model_path).name  # as the user names the folder
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
        line = ["gcvideo", next_command, "--config", str(run.config), "--ckpt_path", str(best)]
        log.info("next: %s", shlex.join(line))


def say_early_end(trainer: Trainer, callbacks: Sequence[Callback]) -> None:
    """Say where a run ended before its last step, and which callbacks may have ended it."""
    steps = trainer.estimated_stepping_batches
    if trainer.global_step < steps:
        enders = [type(ender).__name__ for ender in callbacks if isinstance(ender, EarlyStopping | Timer)]
        by = f", by {' or '.join(enders)}" if enders else ""
        log.info("ended early, after step %d of %d%s", trainer.global_step, steps, by)


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
