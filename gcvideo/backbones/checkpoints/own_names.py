"""A file into a network that keeps its own names, of which no table is needed."""

import logging
from collections.abc import Callable, Collection, Mapping

from torch import Tensor, nn

from gcvideo.backbones.checkpoints.configurations import read_configuration
from gcvideo.backbones.checkpoints.exactly import PARTS, Part, load_exactly
from gcvideo.backbones.checkpoints.files import Checkpoint, non_finite
from gcvideo.backbones.checkpoints.kinds import refuse_other_block
from gcvideo.backbones.checkpoints.others import other_network
from gcvideo.backbones.checkpoints.recognition import is_residual, recognise
from gcvideo.backbones.protocols import shown_head, shown_stages

log = logging.getLogger(__name__)


def load_own_names(network: nn.Module, checkpoint: Checkpoint, *, new: Collection[Part]) -> None:
    """Load a file of the network's own keys.

    Args:
        network: The network.
        checkpoint: The file.
        new: What starts fresh.

    Raises:
        ValueError: The file differs from the network in more than that, or the network does not have it.
    """
    name = type(network).__name__
    # What starts fresh.
    is_of_head = _tells_head(network)

    def is_new(key: str) -> bool:
        return ("blocks" in new and PARTS["blocks"] in key) or ("head" in new and is_of_head(key))

    fresh = [key for key in network.state_dict() if is_new(key)]
    if new and not fresh:
        raise ValueError(
            f"weights.new names {[*new]}, which {name} does not have; leave it out (blocks are what "
            "gcvideo.backbones.place puts, the head what a network shows as `head`, or else what stands in "
            "none of its `stages`)"
        )
    block = read_configuration(checkpoint).block
    if block is not None and "blocks" not in new:
        refuse_other_block(network, block, checkpoint.path)
    # Load exactly the rest, and say so.
    state = _under_own_names(network, checkpoint.state)
    kept = {key: tensor for key, tensor in state.items() if not is_new(key)}
    try:
        load_exactly(network, kept, expected_missing=fresh)
    except ValueError as error:
        advice = _advice(network, checkpoint, kept, fresh)
        raise ValueError(f"{checkpoint.path} into {name}: {advice}\n  {error}") from error
    if found := non_finite(checkpoint.state):
        log.warning("%s: nan or infinite are numbers of %s", checkpoint.path, ", ".join(found))
    other = other_network(checkpoint.state)
    title = f"{checkpoint.path} ({other.describe(checkpoint.state)})" if other else checkpoint.path
    started = f"; {len(fresh)} ({', '.join(sorted(new))}) start fresh" if fresh else ""
    log.info("loaded %s: %d tensors of %s%s", title, len(kept), name, started)


def _tells_head(network: nn.Module) -> Callable[[str], bool]:
    """Return what tells the keys of the last layer that a network shows, or of what stands in no stage."""
    stages, head = shown_stages(network), shown_head(network)
    shown = [*(stages or {}).values()] if head is None else [head]
    names = [name for name, part in network.named_modules() if any(part is one for one in shown)]
    inside = tuple(f"{name}." for name in names)
    return lambda key: bool(shown) and key.startswith(inside) == (head is not None)


def _under_own_names(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict with the name of a network's only child before its keys, where they lack it.

    A network of another library stands in ours as its only child, and its files know nothing of that.
    """
    children = [f"{name}." for name, _ in network.named_children()]
    if len(children) != 1 or any(key.startswith(children[0]) for key in state):
        return dict(state)
    return {children[0] + key: tensor for key, tensor in state.items()}


def _advice(
    network: nn.Module, checkpoint: Checkpoint, state: Mapping[str, Tensor], fresh: Collection[str]
) -> str:
    """Return what would do, if the difference is one that is known."""
    own, is_of_head = network.state_dict(), _tells_head(network)
    other = other_network(checkpoint.state)
    if other is not None and not other.fits({key.removeprefix("net."): own[key] for key in own}):
        return f"the file is of another network ({other.describe(checkpoint.state)}); {other.advice}"
    if is_residual(checkpoint.state):
        return f"the file is of another network ({recognise(checkpoint)})"
    if any(is_of_head(key) and key in state and state[key].shape != own[key].shape for key in own):
        return "the head is of other classes; weights.new: [head] starts a new one"
    if any(PARTS["blocks"] in key and key not in state and key not in fresh for key in own):
        return "the file lacks context blocks that the network has; weights.new: [blocks] starts them fresh"
    return "the file is of another network"
