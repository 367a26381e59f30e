"""What the configuration in a file says of its network and clips: PySlowFast's, MMAction2's or ours."""

import logging

import yaml

from gcvideo.backbones.checkpoints.configurations import mmlab, ours, pyslowfast
from gcvideo.backbones.checkpoints.configurations.said import (
    NOTHING,
    UNSEEN,
    Foreign,
    Input,
    Part,
    Said,
    Skeleton,
)
from gcvideo.backbones.checkpoints.files import Checkpoint

log = logging.getLogger(__name__)

__all__ = [
    "Foreign",
    "Input",
    "Part",
    "Said",
    "Skeleton",
    "mmlab",
    "ours",
    "pyslowfast",
    "read_configuration",
]


def read_configuration(checkpoint: Checkpoint, skeleton: Skeleton = UNSEEN) -> Said:
    """Return what a file says of the network whose tensors are `skeleton`, and of its clips."""
    record, meta = checkpoint.record, checkpoint.record.get("meta")
    try:
        if "hyper_parameters" in record or "datamodule_hyper_parameters" in record:
            return ours.read(record)
        if isinstance(record.get("cfg"), str):
            return pyslowfast.read(yaml.safe_load(record["cfg"]), skeleton)
        text = meta.get("config", meta.get("cfg")) if isinstance(meta, dict) else None
        return mmlab.read(mmlab.parse(text), skeleton) if isinstance(text, str) else NOTHING
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError, yaml.YAMLError) as error:
        reason = str(error).partition("\n")[0]
        log.warning("%s: its configuration cannot be read (%s) and is passed over", checkpoint.path, reason)
        return NOTHING
