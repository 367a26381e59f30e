"""Weights from a file into a detector: of ours, of mmdetection's, or of a classifier's backbone."""

import logging
from collections.abc import Mapping

from torch import Tensor, nn

from gcvideo.backbones.checkpoints import load_exactly, read_checkpoint
from gcvideo.backbones.checkpoints.files import refuse_non_finite
from gcvideo.backbones.checkpoints.loading import complete
from gcvideo.images.detection.mmdetection import BACKBONE, is_mmdetection, read_mmdetection
from gcvideo.images.weights import ImageWeights

log = logging.getLogger(__name__)

OF_CLASSES = (".classes.", ".deltas.", ".mask_fcn_logits.")
"""In keys of layers that know the classes."""


def load_detector_weights(network: nn.Module, weights: ImageWeights) -> None:
    """Load a file into a PyramidRCNN, exactly but for what is said to be new.

    Files are a checkpoint of ours, one of mmdetection 2.x or 3.x, or a residual network by torchvision's
    names, whose `fc` is left behind and which needs `new: [detector]`.

    Raises:
        ValueError: The file cannot be read safely, is of mmdetection 1.x, or differs from the network in more
            than was declared. Nothing is loaded then.
    """
    checkpoint = read_checkpoint(weights.path, state=weights.state)
    refuse_non_finite(checkpoint)
    backbone_only = "detector" in weights.new
    theirs = weights.format == "mmdetection" or (
        weights.format == "auto" and is_mmdetection(checkpoint.state)
    )
    # By our names
    if theirs:
        read = read_mmdetection(checkpoint.state, weights.path, backbone_only=backbone_only)
        if read.unknown:
            raise ValueError(
                f"{weights.path} ({read}): no layer here for {len(read.unknown)} of its tensors: "
                f"{', '.join(read.unknown)}; expected Mask R-CNN or Cascade Mask R-CNN with a feature pyramid"
            )
        found, title = read.state, f"{weights.path} ({read})"
    else:
        found, title = _by_our_names(checkpoint.state), str(weights.path)
    found, num_counters = complete(found)
    # What starts fresh
    own = network.state_dict()
    fresh = [key for key in own if _is_new(key, weights)]
    kept = {key: tensor for key, tensor in found.items() if not _is_new(key, weights)}
    try:
        load_exactly(network, kept, expected_missing=fresh)
    except ValueError as error:
        raise ValueError(f"{title}: {_advice(own, kept)}\n  {error}") from error
    log.info(
        "loaded %s: %d tensors%s; %d of the network start fresh; %d of the file left behind",
        title,
        len(kept),
        f", {num_counters} counters of batch norms that the file lacks set to 0" if num_counters else "",
        len(fresh),
        len(checkpoint.state) + num_counters - len(kept),
    )


def _by_our_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state of ours, or that of a residual network as a detector's backbone."""
    inside = {key.removeprefix("network."): tensor for key, tensor in state.items()}
    if any(key.startswith(BACKBONE) for key in inside):
        return inside
    return {f"{BACKBONE}{key.removeprefix('backbone.')}": tensor for key, tensor in inside.items()}


def _is_new(key: str, weights: ImageWeights) -> bool:
    """Return whether a tensor is of what starts fresh."""
    outside = not key.startswith(BACKBONE) or key.startswith(f"{BACKBONE}fc.")
    return (
        ("detector" in weights.new and outside)
        or ("head" in weights.new and any(part in key for part in OF_CLASSES))
        or ("blocks" in weights.new and ".context." in key)
    )


def _advice(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Return what would do, if the difference is one that is known."""
    classes = [
        next((len(t) - 1 for key, t in state.items() if key.endswith("box_head.classes.weight")), None)
        for state in (own, found)
    ]
    stages = [sum(key.endswith("box_head.classes.weight") for key in state) for state in (own, found)]
    blocks = [
        {key.partition(".context.")[0].removeprefix(BACKBONE) for key in state if ".context." in key}
        for state in (own, found)
    ]
    if not stages[1]:
        return "it holds a backbone and no detector; model.weights.new: [detector] starts all else fresh"
    if stages[0] != stages[1]:
        return f"the network has {stages[0]} stages and the file {stages[1]}; set model.head to its kind"
    if classes[0] != classes[1]:
        return (
            f"the network knows {classes[0]} classes and the file {classes[1]}; model.weights.new: [head] "
            "starts the layers that know them fresh"
        )
    if blocks[0] != blocks[1]:
        return (
            f"the network has {len(blocks[0])} context blocks and the file {len(blocks[1])}; set "
            "model.backbone's block and placement to the file's, or start them fresh with "
            "model.weights.new: [blocks]"
        )
    return "the file is of another network; compare model.backbone"
