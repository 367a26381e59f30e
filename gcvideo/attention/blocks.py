"""The context blocks of a network: their names, what they are, and the attention in them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from gcvideo.attention.pairs import Vectors
from gcvideo.backbones import placed_blocks, shown_stages
from gcvideo.blocks import (
    AttentionPool,
    AveragePool,
    ConcatAffinity,
    Context,
    ContextBlock,
    DotProductAffinity,
    PairwiseAttention,
    SoftmaxAffinity,
    ValueAttentionPool,
)

AFFINITY_NAMES = {
    SoftmaxAffinity: "embedded Gaussian",
    DotProductAffinity: "dot product",
    ConcatAffinity: "concat",
}
SHARED_CONTEXT_NAMES = {
    AttentionPool: "attention pooling",
    ValueAttentionPool: "attention pooling",
    AveragePool: "average pooling",
}


def context_blocks(network: nn.Module) -> dict[str, ContextBlock]:
    """Return the context blocks in the order of the network, named as placement does (`res4.3`).

    In a network that does not show its stages they have their module names. A placed block of another kind
    than ContextBlock, which shows no attention, is not among them.
    """
    stages = shown_stages(network)
    parts = dict(network.named_modules()) if stages is None else placed_blocks(network)
    return {name: part for name, part in parts.items() if isinstance(part, ContextBlock)}


def choose_blocks(network: nn.Module, names: Sequence[str] | None) -> dict[str, ContextBlock]:
    """Return the named context blocks of a network, or all of them.

    Raises:
        ValueError: The network has no context blocks, or none of a given name.
    """
    blocks = context_blocks(network)
    placed = {name: type(part).__name__ for name, part in placed_blocks(network).items()}
    others = {name: kind for name, kind in placed.items() if name not in blocks}
    for name in [*others] if not blocks else names or ():
        if name in others:
            raise ValueError(
                f"{name} is a {others[name]}, whose attention cannot be looked at; make it a ContextBlock, "
                "whose Context has a method attention(x) -> [B Q P]"
            )
    if not blocks:
        raise ValueError(
            f"this {type(network).__name__} has no context blocks, so no attention to look at; "
            "take a network with some, such as configs/paper/slow_r50_nl5.yaml"
        )
    for name in names or ():
        if name not in blocks:
            raise ValueError(f"there is no context block {name!r}; this network has {', '.join(blocks)}")
    return {name: blocks[name] for name in names} if names else blocks


def context_name(context: Context) -> str:
    """Return what the context is in the paper's words: embedded Gaussian, dot product, attention pooling."""
    if isinstance(context, PairwiseAttention):
        name = AFFINITY_NAMES.get(type(context.affinity), type(context.affinity).__name__)
        return "Gaussian" if name == "embedded Gaussian" and type(context.query) is nn.Identity else name
    return SHARED_CONTEXT_NAMES.get(type(context), type(context).__name__)


@contextmanager
def record_inputs(blocks: dict[str, ContextBlock]) -> Iterator[dict[str, Float[Tensor, "B C T H W"]]]:
    """Yield a dictionary that holds the input x of every block after each forward pass of the network."""
    inputs: dict[str, Tensor] = {}

    def keep(name: str, _: nn.Module, arguments: tuple[Tensor]) -> None:
        inputs[name] = arguments[0]

    handles = [block.register_forward_pre_hook(partial(keep, name)) for name, block in blocks.items()]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()


def attention_vectors(context: Context, x: Float[Tensor, "1 C T H W"]) -> Vectors | None:
    """Return the attention maps of all query positions of one clip, or None if they have one in common."""
    if isinstance(context, PairwiseAttention):
        query = context.query(x).flatten(2).mT  # 1 Q E
        key = context.key_map(x).flatten(2).mT  # 1 P E
        return Vectors(lambda i: context.affinity.weights(query[:, i], key)[0], size=key.shape[1])
    weights = context.attention(x)[0]  # Q P
    return Vectors(lambda i: weights[i], size=weights.shape[1]) if len(weights) > 1 else None
