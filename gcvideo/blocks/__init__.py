"""Context blocks: z = fuse(x, transform(context(x))), for any number of position axes.

    instance                 context                    transform                          fusion
    NonLocalBlock            PairwiseAttention, Q = P   BN(W y)                            Add
    SimplifiedNonLocalBlock  AttentionPool,     Q = 1   W y                                Add
    GlobalContextBlock       AttentionPool,     Q = 1   Bottleneck: W_2 ReLU(LN(W_1 y))    Add
    SqueezeExcitationBlock   AveragePool,       Q = 1   Bottleneck: W_2 ReLU(W_1 y)        Scale

Every instance takes `channels` first, so a config can bind the rest and leave the width open:
`block: {class_path: gcvideo.blocks.GlobalContextBlock, init_args: {reduction_ratio: 4}}`.
"""

from gcvideo.blocks.affinity import Affinity, ConcatAffinity, DotProductAffinity, SoftmaxAffinity
from gcvideo.blocks.context import AttentionPool, AveragePool, PairwiseAttention, ValueAttentionPool
from gcvideo.blocks.framework import Context, ContextBlock
from gcvideo.blocks.fusion import Add, InTurn, Scale
from gcvideo.blocks.instances import (
    GlobalContextBlock,
    NonLocalBlock,
    SimplifiedNonLocalBlock,
    SqueezeExcitationBlock,
)
from gcvideo.blocks.layers import BatchNorm, Pointwise, Projection, SpatialMaxPool
from gcvideo.blocks.transform import Bottleneck, Branches, start_at_zero

__all__ = [
    "Add",
    "Affinity",
    "AttentionPool",
    "AveragePool",
    "BatchNorm",
    "Bottleneck",
    "Branches",
    "ConcatAffinity",
    "Context",
    "ContextBlock",
    "DotProductAffinity",
    "GlobalContextBlock",
    "InTurn",
    "NonLocalBlock",
    "PairwiseAttention",
    "Pointwise",
    "Projection",
    "Scale",
    "SimplifiedNonLocalBlock",
    "SoftmaxAffinity",
    "SpatialMaxPool",
    "SqueezeExcitationBlock",
    "ValueAttentionPool",
    "start_at_zero",
]
