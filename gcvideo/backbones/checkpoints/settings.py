"""Settings of context blocks that no weight shows, told from a built block."""

from torch import nn

from gcvideo.blocks import (
    Add,
    AttentionPool,
    ConcatAffinity,
    ContextBlock,
    DotProductAffinity,
    InTurn,
    PairwiseAttention,
    Scale,
    SoftmaxAffinity,
)

FUSIONS: dict[type[nn.Module], str] = {Add: "add", Scale: "scale", InTurn: "both"}


def settings_of(block: ContextBlock) -> dict[str, str]:
    """Arguments of the block's constructor that change its function and not its weights' names and shapes."""
    if isinstance(block.context, PairwiseAttention):
        return {
            "instantiation": _instantiation(block.context),
            "subsampling": _subsampling(block.context),
        }
    if isinstance(block.context, AttentionPool) and type(block.fusion) in FUSIONS:
        return {"fusion": FUSIONS[type(block.fusion)]}
    return {}


def _instantiation(context: PairwiseAttention) -> str:
    affinity = context.affinity
    if isinstance(affinity, DotProductAffinity):
        return "dot_product"
    if isinstance(affinity, ConcatAffinity):
        return "concat"
    if isinstance(context.query, nn.Identity):
        return "gaussian"
    assert isinstance(affinity, SoftmaxAffinity)
    return "embedded_gaussian" if affinity.scale == 1 else "scaled_embedded_gaussian"


def _subsampling(context: PairwiseAttention) -> str:
    if not isinstance(context.pool_input, nn.Identity):
        return "pool_then_conv"
    return "none" if isinstance(context.pool_output, nn.Identity) else "conv_then_pool"
