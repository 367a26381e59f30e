"""Weights from a file into a network of pictures: exactly, or not at all."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from gcvideo.backbones.checkpoints import load_exactly, read_checkpoint
from gcvideo.backbones.checkpoints.files import refuse_non_finite

log = logging.getLogger(__name__)

Part = Literal["head", "blocks", "detector"]
PARTS: dict[Part, tuple[str, ...]] = {"head": ("fc", "head"), "blocks": ("context", "context_block")}
"""By what words of its key a tensor is known to be of a part."""


@dataclass(frozen=True)
class ImageWeights:
    """Weights to start from: torchvision's file of the same network, or one of ours.

    Args:
        path: The file: .safetensors, or a pickle of tensors (.pth, .pt, .ckpt).
        new: Parts of the network that start fresh, whatever the file has of them: head (for another list of
            classes), blocks (context blocks), detector (of a detector, all but its backbone).
        format: Of a detector: whose names its layers have; auto looks at them.
        state: Which state of the file, where it has several, as state_dict or state_dict_ema.
    """

    path: Path
    new: list[Part] = field(default_factory=list)
    format: Literal["auto", "gcvideo", "mmdetection"] = "auto"
    state: str | None = None


def load_weights(network: nn.Module, weights: ImageWeights) -> None:
    """Load a file into a network whose backbone, if it has one, goes by the names of torchvision's ResNets.

    Raises:
        ValueError: The file cannot be read safely, or differs from the network in more than was declared.
    """
    if weights.format == "mmdetection" or "detector" in weights.new:
        asked = "format: mmdetection" if weights.format == "mmdetection" else "new: [detector]"
        raise ValueError(f"model.weights has {asked}, which is for detectors; leave it out")
    checkpoint = read_checkpoint(weights.path, state=weights.state)
    refuse_non_finite(checkpoint)
    own = network.state_dict()
    found = named_as(own, checkpoint.state)
    fresh = [key for key in own if is_of(key, weights.new)]
    kept = {key: tensor for key, tensor in found.items() if not is_of(key, weights.new)}
    try:
        load_exactly(network, kept, expected_missing=fresh)
    except ValueError as error:
        raise ValueError(
            f"{weights.path}: {error}\n  model.weights.new takes head, blocks: what starts fresh"
        ) from error
    log.info("loaded %s: %d tensors; %d start fresh", weights.path, len(kept), len(fresh))


def named_as(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state by the network's names, which may stand below `network.` or `backbone.`."""
    inside = {key.removeprefix("network."): tensor for key, tensor in found.items()}
    if any(key in own for key in inside):
        below = {key: f"backbone.{key}" for key in inside}
        return {below[key] if below[key] in own else key: tensor for key, tensor in inside.items()}
    return {f"backbone.{key}": tensor for key, tensor in inside.items()}


def is_of(key: str, parts: list[Part]) -> bool:
    """Return whether a tensor is of one of the parts."""
    return any(word in PARTS[part] for part in parts for word in key.split("."))
