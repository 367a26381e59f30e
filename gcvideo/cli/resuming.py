"""`--resume auto`: which checkpoint a run goes on from."""

import logging
from pathlib import Path

from jsonargparse import Namespace

from gcvideo.keeping.checkpoint_file import newest_checkpoint
from gcvideo.run_folder import RunFolder

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
