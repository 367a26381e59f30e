"""Where a training logs to: the run's own file always, beside whatever else is configured."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from gcvideo.keeping import MetricsFile
from gcvideo.run_folder import RunFolder


def as_list(configured: Any) -> list[Any]:
    """Return what a configuration has as None, one thing or several as a list."""
    if not configured:
        return []
    return list(configured) if isinstance(configured, Sequence) else [configured]


def with_run_log(configured: Sequence[Logger], run: RunFolder) -> list[Logger]:
    """Return the loggers, the run's metrics.csv and, unless one is configured, its file for TensorBoard."""
    own: list[Logger] = [MetricsFile(run.curves)]
    if not any(isinstance(logger, TensorBoardLogger) for logger in configured):
        own = [TensorBoardLogger(str(run.path), name="", version=""), *own]
    return [*configured, *own]


def with_learning_rates(callbacks: Sequence[Callback]) -> list[Callback]:
    """Return the callbacks and one that logs every learning rate, unless there is one."""
    if any(isinstance(callback, LearningRateMonitor) for callback in callbacks):
        return list(callbacks)
    return [*callbacks, LearningRateMonitor("step")]
