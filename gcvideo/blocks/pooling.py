"""Softmax pooling with its gradient in closed form: what autograd would do in six passes over x, in two."""

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


class Kernels(Protocol):
    """What computes `attention_pool` faster on some devices."""

    def attention_pool(
        self, x: Float[Tensor, "B C P"], weight: Float[Tensor, "1 C"], bias: Float[Tensor, "1"]
    ) -> Float[Tensor, "B C"]:
        """Return what `attention_pool` returns."""
        ...

    def runs_on(self, device: torch.device) -> bool:
        """Return whether it can be called with tensors of this device."""
        ...


kernels: Kernels | None = None
"""`gcvideo.kernels` puts itself here when it is imported, as `gcvideo.backbones` does."""


def attention_weights(
    x: Float[Tensor, "B C P"], weight: Float[Tensor, "1 C"], bias: Float[Tensor, "1"]
) -> Float[Tensor, "B 1 P"]:
    """a_j = softmax_j(<w, x_j> + b)."""
    # A batched product reads x in either memory format; F.linear would copy a channels-first x.
    return (weight.expand(x.shape[0], -1, -1).bmm(x) + bias).softmax(dim=-1)


def weighted_sum(weights: Float[Tensor, "B 1 P"], x: Float[Tensor, "B C P"]) -> Float[Tensor, "B 1 C"]:
    """sum_j a_j x_j. With x on the left, the batched product would copy a channels-last x first."""
    return weights.bmm(x.mT)


def attention_pool(
    x: Float[Tensor, "B C P"], weight: Float[Tensor, "1 C"], bias: Float[Tensor, "1"]
) -> Float[Tensor, "B C"]:
    """y = sum_j a_j x_j with a = attention_weights(x, weight, bias)."""
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad or bias.requires_grad):
        return _AttentionPool.apply(x, weight, bias)  # pyright: ignore[reportReturnType]
    return weighted_sum(attention_weights(x, weight, bias), x).squeeze(1)


class _AttentionPool(Function):
    """Pooling of clips with its gradient in closed form.

    With g = dL/dy and l_j the logits, of one clip:

    dL/dl_j = a_j (<g, x_j> - <g, y>),  dL/dx_j = a_j g + dL/dl_j w,  dL/dw = sum_j dL/dl_j x_j.

    dL/dx is one product of rank 2, written once, in the memory format of x.
    """

    @staticmethod
    def forward(ctx, x, weight, bias):
        weights = attention_weights(x, weight, bias)
        pooled = weighted_sum(weights, x)
        ctx.save_for_backward(x, weight, weights, pooled)
        return pooled.squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):  # pyright: ignore[reportIncompatibleMethodOverride] (one output)
        x, weight, weights, pooled = ctx.saved_tensors
        gradient = gradient.unsqueeze(1).to(x.dtype)  # B 1 C
        by_weights = gradient.bmm(x) - (gradient * pooled).sum(dim=-1, keepdim=True)  # B 1 P
        by_logits = (weights * by_weights).to(x.dtype)
        by_key = weighted_sum(by_logits, x).sum(dim=0).to(weight.dtype)
        left = torch.cat([weights.to(x.dtype), by_logits], dim=1)  # B 2 P
        right = torch.cat([gradient, weight.to(x.dtype).expand_as(gradient)], dim=1)  # B 2 C
        by_x = right.mT.bmm(left) if x.is_contiguous() else left.mT.bmm(right).mT
        return by_x, by_key, by_logits.sum().view(1).to(weight.dtype)
