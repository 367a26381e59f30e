"""Transform: what becomes of a context [B C *queries] before it meets the features."""

from typing import TypeVar

from jaxtyping import Float
from torch import Tensor, nn

Transform = TypeVar("Transform", bound=nn.Module)


class Bottleneck(nn.Module):
    """W_2 activation(norm(W_1 y)), with `hidden_channels` between W_1 and W_2.

    GCNet (arXiv:1904.11492): LayerNorm over the hidden channels, then ReLU. Squeeze-
    excitation (Hu et al., equation 3, arXiv:1709.01507): ReLU alone.
    """

    def __init__(self, channels: int, *, hidden_channels: int, norm: nn.Module, activation: nn.Module):
        super().__init__()
        self.reduce = nn.Linear(channels, hidden_channels)
        self.norm = norm
        self.activation = activation
        self.expand = nn.Linear(hidden_channels, channels)

    def forward(self, context: Float[Tensor, "B C *queries"]) -> Float[Tensor, "B C *queries"]:
        hidden = self.activation(self.norm(self.reduce(context.movedim(1, -1))))  # B *queries C/r
        return self.expand(hidden).movedim(-1, 1)


class Branches(nn.Module):
    """(transform_1(y), transform_2(y), ...): one context, a transform for each fusion `InTurn`."""

    def __init__(self, *transforms: nn.Module):
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def forward(self, context: Float[Tensor, "B C *queries"]) -> tuple[Float[Tensor, "B C *queries"], ...]:
        return tuple(transform(context) for transform in self.transforms)


def start_at_zero(transform: Transform) -> Transform:
    """Zero the last layer, weight and bias: x + transform(y) is then x at the start, to the bit.

    Layers are registered in the order they run, in every transform here.
    """
    *_, last = (layer for layer in transform.modules() if list(layer.parameters(recurse=False)))
    for parameter in last.parameters(recurse=False):
        nn.init.zeros_(parameter)
    return transform
