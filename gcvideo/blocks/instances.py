"""The four blocks of the paper. Each chooses the three parts of the frame and overrides nothing."""

from collections.abc import Mapping
from functools import partial
from typing import Literal, TypeVar

from torch import nn

from gcvideo.blocks.affinity import ConcatAffinity, DotProductAffinity, SoftmaxAffinity
from gcvideo.blocks.context import AttentionPool, AveragePool, PairwiseAttention, ValueAttentionPool
from gcvideo.blocks.framework import ContextBlock
from gcvideo.blocks.fusion import Add, InTurn, Scale
from gcvideo.blocks.layers import BatchNorm, Pointwise, Projection, SpatialMaxPool
from gcvideo.blocks.transform import Bottleneck, Branches, start_at_zero

Part = TypeVar("Part")


class NonLocalBlock(ContextBlock):
    """z_i = x_i + BN(W_z sum_j f(W_q x_i, W_k x_j) / C(x) W_v x_j) (Wang et al., arXiv:1711.07971).

    `inner_channels`, half the channels if not given, is the width of W_q, W_k and W_v. Positions j
    are subsampled by max pooling 1 x 2 x 2, before or after the convolutions W_k and W_v.
    `scaled_embedded_gaussian` divides the logits by sqrt(inner_channels), as code in wide use does
    and the paper does not. The block starts as the identity: the weight of BN is 0.
    """

    def __init__(
        self,
        channels: int,
        *,
        instantiation: Literal[
            "gaussian",
            "embedded_gaussian",
            "scaled_embedded_gaussian",
            "dot_product",
            "concat",
        ] = "embedded_gaussian",
        inner_channels: int | None = None,
        subsampling: Literal["none", "pool_then_conv", "conv_then_pool"] = "pool_then_conv",
    ):
        inner = channels // 2 if inner_channels is None else inner_channels
        if inner < 1:
            raise ValueError(f"inner_channels is {inner} for {channels} channels; expected 1 or more")

        # f and C(x), and what x passes before f: theta and phi
        affinity, embed = _choose(
            "instantiation",
            instantiation,
            {
                "gaussian": (SoftmaxAffinity, nn.Identity),
                "embedded_gaussian": (SoftmaxAffinity, Projection),
                "scaled_embedded_gaussian": (partial(SoftmaxAffinity, inner**-0.5), Projection),
                "dot_product": (DotProductAffinity, Projection),
                "concat": (partial(ConcatAffinity, inner), Projection),
            },
        )
        # The positions j: before phi and g, behind them, or all
        pool_input, pool_output = _choose(
            "subsampling",
            subsampling,
            {
                "none": (nn.Identity, nn.Identity),
                "pool_then_conv": (SpatialMaxPool, nn.Identity),
                "conv_then_pool": (nn.Identity, SpatialMaxPool),
            },
        )
        # z_i = x_i + BN(W_z y_i)
        super().__init__(
            context=PairwiseAttention(
                affinity(),
                query=embed(channels, inner),
                key=embed(channels, inner),
                value=Projection(channels, inner),
                pool_input=pool_input(),
                pool_output=pool_output(),
            ),
            transform=start_at_zero(nn.Sequential(Pointwise(inner, channels), BatchNorm(channels))),
            fusion=Add(),
            channels=channels,
        )


class SimplifiedNonLocalBlock(ContextBlock):
    """z_i = x_i + W_v sum_j a_j x_j, a = softmax_j(W_k x_j) (GCNet, arXiv:1904.11492).

    This is the second form; `transform_then_pool` is the first, sum_j a_j W_v x_j, the same
    function at P times the cost of W_v. The block starts as the identity: W_v is 0.
    """

    def __init__(
        self,
        channels: int,
        *,
        order: Literal["pool_then_transform", "transform_then_pool"] = "pool_then_transform",
    ):
        linear = start_at_zero(Pointwise(channels, channels))
        context, transform = _choose(
            "order",
            order,
            {
                "pool_then_transform": lambda: (AttentionPool(channels), linear),
                "transform_then_pool": lambda: (ValueAttentionPool(channels, linear), nn.Identity()),
            },
        )()
        super().__init__(context=context, transform=transform, fusion=Add(), channels=channels)


class GlobalContextBlock(ContextBlock):
    """z_i = x_i + W_v2 ReLU(LN(W_v1 sum_j a_j x_j)), a = softmax_j(W_k x_j).

    GCNet (arXiv:1904.11492); W_v1 leads to channels / reduction_ratio. The rest are its
    ablations: `scale` is x_i * sigmoid(...), `both` scales and then adds, each with a bottleneck of
    its own. With `add` the block starts as the identity: W_v2 is 0.
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction_ratio: int = 4,
        pooling: Literal["attention", "average"] = "attention",
        fusion: Literal["add", "scale", "both"] = "add",
        bottleneck_norm: Literal["layer", "none"] = "layer",
        bottleneck_activation: Literal["relu", "none"] = "relu",
    ):
        # y = sum_j a_j x_j
        pool = _choose(
            "pooling",
            pooling,
            {"attention": partial(AttentionPool, channels), "average": AveragePool},
        )
        # W_v2 ReLU(LN(W_v1 y))
        hidden = _reduced(channels, reduction_ratio)
        norm = _choose(
            "bottleneck_norm",
            bottleneck_norm,
            {"layer": partial(nn.LayerNorm, hidden), "none": nn.Identity},
        )
        activation = _choose(
            "bottleneck_activation",
            bottleneck_activation,
            {"relu": nn.ReLU, "none": nn.Identity},
        )

        def bottleneck() -> Bottleneck:
            return Bottleneck(channels, hidden_channels=hidden, norm=norm(), activation=activation())

        transform_and_fusion = _choose(
            "fusion",
            fusion,
            {
                "add": lambda: (start_at_zero(bottleneck()), Add()),
                "scale": lambda: (bottleneck(), Scale()),
                "both": lambda: (
                    Branches(bottleneck(), start_at_zero(bottleneck())),
                    InTurn(Scale(), Add()),
                ),
            },
        )
        super().__init__(pool(), *transform_and_fusion(), channels=channels)


class SqueezeExcitationBlock(ContextBlock):
    """z_i = x_i * sigmoid(W_2 ReLU(W_1 1/P sum_j x_j)).

    Hu et al., equations 2 to 4 (arXiv:1709.01507); W_1 leads to channels / reduction_ratio.
    """

    def __init__(self, channels: int, *, reduction_ratio: int = 16):
        super().__init__(
            context=AveragePool(),
            transform=Bottleneck(
                channels,
                hidden_channels=_reduced(channels, reduction_ratio),
                norm=nn.Identity(),
                activation=nn.ReLU(),
            ),
            fusion=Scale(),
            channels=channels,
        )


def _choose(argument: str, name: str, parts: Mapping[str, Part]) -> Part:
    if name not in parts:
        raise ValueError(f"{argument} '{name}' is unknown; expected one of {', '.join(parts)}")
    return parts[name]


def _reduced(channels: int, reduction_ratio: int) -> int:
    """Return channels / reduction_ratio, a whole number of at least 1."""
    if reduction_ratio < 1 or channels % reduction_ratio:
        raise ValueError(
            f"reduction_ratio {reduction_ratio} does not divide {channels} channels; expected a divisor"
        )
    return channels // reduction_ratio
