"""A network among other things: what a LightningModule or a teacher and its student put before every key."""

from collections.abc import Mapping

from torch import Tensor

from gcvideo.backbones.checkpoints.files import Checkpoint
from gcvideo.backbones.checkpoints.namings import NAMINGS
from gcvideo.backbones.checkpoints.renaming import read_naming


def find_network(checkpoint: Checkpoint) -> Checkpoint:
    """Return the residual network in a checkpoint; the whole where none has names that are known.

    Raises:
        ValueError: There are several.
    """
    state = checkpoint.state
    if _is_network(state):
        return checkpoint
    stems = [f".{stem}.weight" for stem in {next(iter(naming.outside)) for naming in NAMINGS.values()}]
    found = {key.removesuffix(stem) + "." for key in state for stem in stems if key.endswith(stem)}
    inside = [prefix for prefix in sorted(found) if _is_network(_below(state, prefix))]
    # Of `model.` and `model.backbone.`, where both are readings of one network, the first.
    outermost = [p for p in inside if not any(p != other and p.startswith(other) for other in inside)]
    if not outermost:
        return checkpoint
    if len(outermost) > 1:
        names = ", ".join(prefix.removesuffix(".") for prefix in outermost)
        raise ValueError(
            f"{checkpoint.path}: holds {len(outermost)} networks: {names}; name one as weights.state"
        )
    (prefix,) = outermost
    return checkpoint._replace(
        state=_below(state, prefix),
        wrappers=[*checkpoint.wrappers, prefix],
        outside=tuple(key for key in state if not key.startswith(prefix)),
    )


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}


def _is_network(state: Mapping[str, Tensor]) -> bool:
    """Tell whether some naming has names for a stem and a bottleneck."""
    first = ("stem.conv.weight", "res2.0.branch2.conv_a.weight")
    return any(all(key in read_naming(state, name).state for key in first) for name in NAMINGS)
