"""Which checkpoint a run goes on from, and whether it can."""

import logging
from collections.abc import Iterable
from pathlib import Path

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from gcvideo.averaged import WeightsState, is_averaged
from gcvideo.cli.config_forms import plain
from gcvideo.cli.run_config import (
    Change,
    accept_changes,
    as_asked,
    changes,
    class_names_in,
    config_in,
    defaults_of,
)
from gcvideo.keeping.checkpoint_file import newest_checkpoint, read_training_state
from gcvideo.run_folder import RunFolder
from gcvideo.training.tasks import require_same_task, task_of

log = logging.getLogger(__name__)


def require_possible_resume(config: Namespace, *, subcommand: str) -> None:
    """Check that `resume`, where it is given, has a run to go on with.

    Raises:
        ValueError: It is for another command, or for a checkpoint that is named already.
    """
    if config.resume is None:
        return
    if subcommand != "fit":
        raise ValueError("resume is for fit; name a checkpoint as --ckpt_path")
    if config.run_dir is None or config.ckpt_path is not None:
        raise ValueError("resume auto takes the newest checkpoint of --run_dir; name that, and no ckpt_path")


def require_possible_weights(config: Namespace, *, subcommand: str) -> None:
    """Check that `weights.state`, where it is given, has a checkpoint to choose from.

    Raises:
        ValueError: It is for another command, or no checkpoint is named.
    """
    state = config.weights.state
    if state is None:
        return
    if subcommand == "fit":
        raise ValueError(
            f"weights.state is {state}, and fit goes on with both; it is for commands that evaluate a "
            "checkpoint"
        )
    if config.ckpt_path is None:
        raise ValueError(
            f"weights.state is {state}, but no checkpoint is named; give --ckpt_path (beside "
            "--model.weights.path it is --model.weights.state)"
        )


def resumed_file(config: Namespace) -> Path | None:
    """Return, with `--resume auto`, the newest whole checkpoint of the run folder, if there is one yet.

    Raises:
        ValueError: All that are there are damaged.
    """
    if config.resume is None:
        return None
    newest = newest_checkpoint(RunFolder(config.run_dir).checkpoints)
    for reason in newest.damaged:
        log.warning("passed over %s", reason)
    if newest.file is None and newest.damaged:
        raise ValueError(
            f"{config.run_dir} has no whole checkpoint: {'; '.join(newest.damaged)}; move them away "
            "to start afresh there"
        )
    if newest.file is None:
        log.info("%s has no checkpoint yet; starting", config.run_dir)
    else:
        log.info("resuming from %s", newest.file)
    return newest.file


def weights_evaluated(checkpoint: Path | None, state: WeightsState | None) -> dict[str, str]:
    """Return which weights of a checkpoint were evaluated, where it holds two sets of them."""
    if checkpoint is None or not is_averaged(read_training_state(checkpoint)):
        return {}
    return {"weights": state or "averaged"}


def known_classes(
    checkpoint: Path, parser: LightningArgumentParser, config: Namespace, *, fits: bool
) -> list[str]:
    """Return the class names of a checkpoint; say, or refuse, what is asked otherwise than it was trained.

    Args:
        checkpoint: What the run goes on from, or evaluates.
        parser: That of the subcommand.
        config: What is asked.
        fits: Whether it is to be trained further.

    Raises:
        ValueError: Something is asked that cannot be changed, as the task, or the file is no checkpoint of
            a run.
    """
    state = read_training_state(checkpoint)
    names = class_names_in(state, checkpoint)
    require_same_task(
        task_of(state["hyper_parameters"]), config.model.get("task", "single_label"), checkpoint
    )
    before = config_in(state)
    if before is not None:
        asked = as_asked(parser, config)
        found = changes(plain(before), plain(asked), defaults=plain(defaults_of(parser)))
        if fits and checkpoint.parent.resolve() == RunFolder(config.run_dir).checkpoints.resolve():
            require_same_run(found)
        accept_changes(found, fits=fits, checkpoint=checkpoint)
    return names


def require_same_run(found: Iterable[Change]) -> None:
    """Check that a run keeps to what its own checkpoints and validations so far follow from.

    Raises:
        ValueError: It is asked for another number or other names of best checkpoints, of which its list of
            them would not be true, or for other folds, of which it has been trained on what it validates.
    """
    kept = ("checkpoint.save_top_k", "checkpoint.filename", "data.folds")
    for change in found:
        if change.key.startswith(kept):
            raise ValueError(
                f"{change.key} is {change.now}, and the run was begun with {change.before}; leave it, or "
                "start a new run from its weights: --model.weights.path"
            )
