"""The trainer of a run: what it has besides what the configuration names, and what it must be able to do."""

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from jsonargparse import Namespace
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.io import AsyncCheckpointIO
from lightning.pytorch.strategies import DDPStrategy

from gcvideo.cli.loggers import as_list, with_learning_rates, with_run_log
from gcvideo.cli.trainer_arguments import (
    require_monitored_metrics,
    require_supported_callbacks,
    require_supported_processes,
    require_validated_when_checked,
)
from gcvideo.distributed import restarts_share_a_store
from gcvideo.keeping import CheckpointFiles
from gcvideo.keeping.best_checkpoints import LinkBest, name_apart
from gcvideo.keeping.run_lock import FolderStays, RunLock
from gcvideo.memory import keep_freed_memory
from gcvideo.private_names import set_timeout
from gcvideo.run_folder import RunFolder
from gcvideo.training.precise_bn import in_working_order
from gcvideo.training.progress import with_progress

log = logging.getLogger(__name__)

PROCESS_TIMEOUT = timedelta(minutes=10)
"""How long processes wait for one that hangs; one that is gone is noticed at once. torch waits 30 minutes."""


def callbacks_and_loggers(
    asked: Namespace, run: RunFolder, *, fits: bool, lock: RunLock | None
) -> tuple[list[Callback], list[Logger]]:
    """Return what the section `trainer` names, and what every run has; a training logs to its folder too."""
    callbacks = in_working_order(as_list(asked.callbacks))
    if asked.enable_progress_bar is not False:
        callbacks = with_progress(callbacks)
    if lock is not None:
        callbacks = [*callbacks, FolderStays(lock)]
    loggers: list[Logger] = as_list(asked.logger if asked.logger is not True else None)
    if fits and asked.logger is not False:
        callbacks = with_learning_rates(callbacks)
        loggers = with_run_log(loggers, run)
    return callbacks, loggers


def supported_trainer(
    build: Callable[..., Trainer],
    made: Namespace,
    *,
    run: RunFolder,
    of_validation: Iterable[str],
    callbacks: list[Callback],
    files: CheckpointFiles,
    **kwargs: Any,
) -> Trainer:
    """Build a trainer that can do what is asked of it, or say what it cannot.

    Args:
        build: LightningCLI's own making of it.
        made: The configuration of the subcommand, instantiated.
        run: Where checkpoints are kept.
        of_validation: The metrics that validation logs.
        callbacks: All but the run's own checkpoints and safeguards.
        files: How checkpoints are written.
        kwargs: What else the trainer is given.
    """
    asked = made.trainer
    checkpoints = asked.enable_checkpointing is not False
    require_supported_callbacks(callbacks, checkpoints=checkpoints)
    require_monitored_metrics([*callbacks, made.checkpoint], {"train/loss", *of_validation})
    if asked.limit_val_batches == 0:
        require_monitored_metrics(callbacks, {"train/loss"})
    require_validated_when_checked(callbacks, asked)
    if not checkpoints:
        kwargs["enable_checkpointing"] = True  # of Lightning, which is given one that is then removed
    name_apart(made.checkpoint, run)
    for plugin in asked.plugins if isinstance(asked.plugins, list) else [asked.plugins]:
        if isinstance(plugin, AsyncCheckpointIO):
            require_one_best(made.checkpoint, run)
            plugin.checkpoint_io = files  # unless it has been given another
    trainer: Any = build(callbacks=callbacks, **kwargs)
    if not checkpoints:
        trainer.callbacks.remove(made.checkpoint)
    elif made.checkpoint.filename != run.best.stem:
        trainer.callbacks.append(LinkBest(made.checkpoint, run))
    trainer.callbacks += made.safeguard.callbacks(writes=checkpoints and not asked.fast_dev_run)
    require_supported_processes(trainer, sync_batchnorm=asked.sync_batchnorm)
    return trainer


def require_one_best(checkpoint: ModelCheckpoint, run: RunFolder) -> None:
    """Check that nothing waits for a checkpoint that a thread still writes.

    Raises:
        ValueError: best.ckpt is to be another name of one.
    """
    if checkpoint.filename != run.best.stem:
        raise ValueError(
            "trainer.plugins has AsyncCheckpointIO, and several checkpoints are to be kept "
            "(checkpoint.save_top_k or checkpoint.filename), of which best.ckpt is one that it may not have "
            "written yet; choose one"
        )


def settle_strategy(trainer: Trainer, files: CheckpointFiles, *, chosen: bool) -> None:
    """Let the strategy write checkpoints as runs do, and wait as long as they do unless it was chosen."""
    strategy = trainer.strategy
    if type(strategy.checkpoint_io) is TorchCheckpointIO:  # and none of one's own
        strategy.checkpoint_io = files
    if not chosen and isinstance(strategy, DDPStrategy):
        set_timeout(strategy, PROCESS_TIMEOUT)
    if strategy.root_device.type == "cpu":
        keep_freed_memory()


def warn_of_shared_store(trainer: Trainer) -> None:
    """Say once where a restart of torchrun could meet what the processes before it have left."""
    if trainer.is_global_zero and restarts_share_a_store():
        log.warning(
            "torchrun's restarts share one store, in which processes may find addresses of dead ones; "
            "start with scripts/train_torchrun.sh, or give torchrun TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"
        )
