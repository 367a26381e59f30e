"""Settings that change what a network computes and leave its weights' names and shapes alone."""

from torch import nn

from gcvideo.backbones.placement import IN_BRANCH, ContextResBlock
from gcvideo.backbones.resnet import VideoResNet
from gcvideo.blocks import (
    Add,
    AttentionPool,
    AveragePool,
    Bottleneck,
    ConcatAffinity,
    ContextBlock,
    DotProductAffinity,
    InTurn,
    PairwiseAttention,
    Scale,
    SoftmaxAffinity,
)

NON_LOCAL = ("instantiation", "subsampling")
GLOBAL_CONTEXT = ("fusion", "bottleneck_activation")

ARGUMENTS = {
    # What a configuration of ours calls them, below `network.init_args`.
    "architecture": "architecture",
    "stride_on": "stride_on",
    "position": "placement.position",
    **{name: f"block.init_args.{name}" for name in (*NON_LOCAL, *GLOBAL_CONTEXT)},
}

OF_BLOCKS = ("position", *NON_LOCAL, *GLOBAL_CONTEXT)

FUSIONS: dict[type[nn.Module], str] = {Add: "add", Scale: "scale", InTurn: "both"}


def settings_of(module: nn.Module) -> dict[str, str]:
    """Return what a network, a residual block or a context block of ours is set to."""
    if isinstance(module, VideoResNet):
        return {"architecture": module.architecture, "stride_on": module.stride_on}
    if isinstance(module, ContextResBlock):
        return {"position": "after_1x1x1" if isinstance(module, IN_BRANCH) else "after_add"}
    if not isinstance(module, ContextBlock):
        return {}
    if isinstance(module.context, PairwiseAttention):
        return {
            "instantiation": _instantiation(module.context),
            "subsampling": _subsampling(module.context),
        }
    if isinstance(module.context, AttentionPool | AveragePool) and type(module.fusion) in FUSIONS:
        return {"fusion": FUSIONS[type(module.fusion)]} | _activation(module.transform)
    return {}


def _activation(transform: nn.Module) -> dict[str, str]:
    for part in transform.modules():
        if isinstance(part, Bottleneck):
            kind = type(part.activation)
            return {"bottleneck_activation": "none" if kind is nn.Identity else kind.__name__.lower()}
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
