"""Refuse by name what a run cannot honour of Lightning's own switches, before anything is written."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml
from jsonargparse import Namespace
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    BatchSizeFinder,
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
    ModelPruning,
    OnExceptionCheckpoint,
    StochasticWeightAveraging,
)
from lightning.pytorch.callbacks.timer import Interval
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

from gcvideo.keeping import ExactResume
from gcvideo.private_names import checks_after_epoch, start_method

REFUSED = {
    "barebones": "it leaves out checkpoints, logs and validation; scripts/bench_network.py times the network",
    "model_registry": "it uploads by a checkpoint callback that is not the run's; name a logger that uploads",
    "use_distributed_sampler": "every process reads its own share of the videos already, none of them twice",
    "limit_predict_batches": "no command reads it; to predict is to take what is given",
}
"""Switches and why they are of no use here."""

LEAST = {
    "max_epochs": 1,
    "max_steps": 1,
    "check_val_every_n_epoch": 1,
    "accumulate_grad_batches": 1,
    "num_sanity_val_steps": -1,
    "gradient_clip_val": 0,
    "log_every_n_steps": 0,
}
"""Numbers of fit that Lightning takes without a word, or divides by, although they are too small."""

REFUSED_CALLBACKS: dict[type[Callback], str] = {
    LearningRateFinder: "its rate would hold for one step, since the schedule sets that of every step from "
    "model.learning_rate; `gcvideo tune learning_rate` finds one for that",
    BatchSizeFinder: "it would change the batch after the learning rate was derived from it; `gcvideo tune "
    "batch_size` tries some",
    StochasticWeightAveraging: "it replaces the schedule, and a run stopped in it cannot be resumed exactly; "
    "gcvideo.training.SWAWeightAveraging, WeightAveraging and EMAWeightAveraging average too",
    GradientAccumulationScheduler: "learning rate and schedule are derived from one number of clips a step; "
    "set trainer.accumulate_grad_batches",
    ModelPruning: "it renames the weights, so that no other command could read the checkpoints; prune the "
    "network of a finished run",
    BackboneFinetuning: "it wants a module named backbone; gcvideo.training.FreezeStages freezes stages",
    OnExceptionCheckpoint: "there is last.ckpt, and one from within a step cannot be resumed exactly",
    ExactResume: "every run has one",
}
"""Callbacks and why a run cannot have them."""

PROBLEM_OF_CLASS = re.compile(r"Problem with given class_path '([^']+)':\s+(\S.*)")

FIRST_OF_UNION = re.compile(
    r"Does not validate against any of the Union subtypes.*?\n\s+- ([^\n]+)", re.DOTALL
)
OF_TYPES = ("Expected a", "Not a valid", "Does not", "Problem with")
"""How errors begin that say what a value is not, and not what is wrong with it."""

# The default of Timer, which would keep it out of any configuration file.
yaml.SafeDumper.add_representer(Interval, lambda dumper, interval: dumper.represent_str(interval.value))


def require_supported_arguments(trainer: Namespace, *, subcommand: str, run_dir: Path | None) -> None:
    """Check the values of the section `trainer` that the subcommand would use.

    Raises:
        ValueError: One of them cannot be honoured.
    """
    for name, reason in REFUSED.items():
        if trainer[name] is not None and trainer[name] is not False:
            raise ValueError(f"trainer.{name} is {trainer[name]}, which no run can have: {reason}")
    if trainer.profiler == "xla":
        raise ValueError("trainer.profiler is xla, which is for TPUs; expected simple, advanced or pytorch")
    if trainer.default_root_dir not in (None, str(run_dir)):
        raise ValueError(
            f"trainer.default_root_dir is {trainer.default_root_dir}: a run lies in its run_dir; "
            "give that instead"
        )
    split = {"fit": "train", "validate": "val", "test": "test"}.get(subcommand)
    if split is not None and trainer[f"limit_{split}_batches"] == 0:
        raise ValueError(f"trainer.limit_{split}_batches is 0: {subcommand} would do nothing; expected more")
    if subcommand == "fit" and not trainer.fast_dev_run:
        _require_possible_training(trainer)


def _require_possible_training(trainer: Namespace) -> None:
    """Check the values that fit alone would use.

    Raises:
        ValueError: One of them is too small, or contradicts another.
    """
    # Single numbers
    for name, least in LEAST.items():
        number = trainer[name]
        unlimited = name in ("max_epochs", "max_steps") and number == -1
        if number is not None and number < least and not unlimited:
            raise ValueError(f"trainer.{name} is {number}; expected at least {least}")
    if trainer.val_check_interval == 0:
        raise ValueError(
            "trainer.val_check_interval is 0; expected batches, or a share of an epoch; "
            "trainer.limit_val_batches 0 leaves out validation"
        )
    # The length of the run
    if trainer.max_epochs in (None, -1) and trainer.max_steps == -1:
        raise ValueError(
            f"trainer.max_epochs is {trainer.max_epochs}: the schedule needs the length of the run; "
            "give max_epochs or max_steps"
        )
    if isinstance(trainer.max_time, str) and not re.fullmatch(r"\d+(:\d\d){3}", trainer.max_time):
        raise ValueError(f"trainer.max_time is {trainer.max_time}; expected days:hours:minutes:seconds")
    for least, most in (("min_epochs", "max_epochs"), ("min_steps", "max_steps")):
        if (trainer[least] or 0) > (trainer[most] or -1) > -1:
            raise ValueError(
                f"trainer.{least} is {trainer[least]}, but trainer.{most} {trainer[most]}; raise the latter"
            )
    # Clipping of gradients
    if trainer.gradient_clip_algorithm is not None and trainer.gradient_clip_val is None:
        raise ValueError(
            f"trainer.gradient_clip_algorithm is {trainer.gradient_clip_algorithm}, but "
            "trainer.gradient_clip_val is not set, and nothing would be clipped; give both"
        )


def require_supported_callbacks(callbacks: Iterable[Callback], *, checkpoints: bool) -> None:
    """Check the configured callbacks.

    Raises:
        ValueError: A run cannot have one of them, or it would write checkpoints where there are to be none.
    """
    for callback in callbacks:
        kind = type(callback).__name__
        for refused, reason in REFUSED_CALLBACKS.items():
            if isinstance(callback, refused):
                raise ValueError(f"trainer.callbacks has {kind}, which no run can have: {reason}")
        if isinstance(callback, ModelCheckpoint) and not checkpoints:
            raise ValueError(
                f"trainer.enable_checkpointing is False, and trainer.callbacks has {kind}; drop one of them"
            )


def require_monitored_metrics(callbacks: Sequence[Callback], metrics: Iterable[str]) -> None:
    """Check that what callbacks monitor is among the metrics of the run.

    Raises:
        ValueError: It is not, and there is no callback of one's own that could log more.
    """
    packages = {type(callback).__module__.split(".")[0] for callback in callbacks}
    if packages - {"gcvideo", "lightning"}:
        return
    names = sorted(metrics)
    for callback in callbacks:
        monitored = callback.monitor if isinstance(callback, EarlyStopping | ModelCheckpoint) else None
        if monitored is not None and monitored not in names:
            raise ValueError(
                f"{type(callback).__name__} monitors {monitored}, which is not logged; expected one of "
                f"{', '.join(names)}"
            )


def require_validated_when_checked(callbacks: Sequence[Callback], trainer: Namespace) -> None:
    """Check that early stopping does not look for a figure of validation where there is none yet.

    Raises:
        ValueError: It looks after every epoch, and some epochs have no validation.
    """
    for callback in callbacks:
        if (
            isinstance(callback, EarlyStopping)
            and callback.monitor.startswith("val/")
            and checks_after_epoch(callback)
            and trainer.check_val_every_n_epoch != 1
        ):
            raise ValueError(
                f"EarlyStopping looks at {callback.monitor} after every epoch (check_on_train_epoch_end), "
                f"and trainer.check_val_every_n_epoch is {trainer.check_val_every_n_epoch}; leave "
                "check_on_train_epoch_end out, and it looks after every validation"
            )


def require_supported_processes(trainer: Trainer, *, sync_batchnorm: bool) -> None:
    """Check how the processes of a run would be started, and what they are to do together.

    Raises:
        ValueError: They would be copies of this one, wait for ever, or have no norm in common.
    """
    strategy = trainer.strategy
    if isinstance(strategy, ModelParallelStrategy):
        raise ValueError(
            "trainer.strategy is ModelParallelStrategy, which cuts a network as its own code says, and "
            "those here say nothing; use ddp, or on GPUs fsdp"
        )
    if not isinstance(strategy, DDPStrategy):
        return
    if start_method(strategy) != "popen":
        raise ValueError(
            f"trainer.strategy starts processes by {start_method(strategy)}, which cannot take a run with "
            "them; use ddp"
        )
    alone = isinstance(strategy.cluster_environment, LightningEnvironment) and "MASTER_ADDR" not in os.environ
    if trainer.num_nodes > 1 and alone:
        raise ValueError(
            f"trainer.num_nodes is {trainer.num_nodes}, but nothing says where the others are; start with "
            "scripts/train_torchrun.sh or scripts/train_slurm.sbatch"
        )
    if strategy.root_device.type == "cpu" and sync_batchnorm:
        raise ValueError("trainer.sync_batchnorm is True, which torch has for GPUs alone; leave it out")


def reason_of_class(message: str) -> str:
    """Return what the class said that a value named, of a message on all the types it could have been."""
    problems = PROBLEM_OF_CLASS.findall(message)
    if problems:
        return ": ".join(problems[-1])
    first = FIRST_OF_UNION.match(message)
    return first[1] if first is not None and not first[1].startswith(OF_TYPES) else message
