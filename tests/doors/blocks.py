"""Context blocks of one's own, as a researcher writes them in a module beside the run."""

from jaxtyping import Float
from torch import Tensor, nn

from gcvideo.blocks import Add, AveragePool, Context, ContextBlock, Pointwise, start_at_zero


class MeanContext(ContextBlock):
    """z_i = x_i + W mean_j x_j."""

    def __init__(self, channels: int) -> None:
        super().__init__(AveragePool(), start_at_zero(Pointwise(channels, channels)), Add())


class LargestContext(ContextBlock):
    """z_i = x_i + W x_m, m the position of the largest sum of channels: the same layers as MeanContext."""

    def __init__(self, channels: int) -> None:
        super().__init__(Largest(), start_at_zero(Pointwise(channels, channels)), Add())


class Largest(Context):
    """y = x_m, m the position of the largest sum of channels."""

    def attention(self, x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B 1 P"]:
        total = x.flatten(2).sum(1, keepdim=True)
        return (total == total.amax(2, keepdim=True)).to(x.dtype)

    def forward(self, x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B C *ones"]:
        pooled = x.flatten(2) @ self.attention(x).mT
        return pooled.view(*x.shape[:2], *(1 for _ in x.shape[2:]))


class Gate(nn.Module):
    """z = x * (1 + tanh(w * conv(x))): no ContextBlock, with a convolution and a parameter of its own."""

    def __init__(self, channels: int, *, start: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, 1, kernel_size=1)
        self.weight = nn.Parameter(nn.init.constant_(self.conv.weight.new_empty(()), start))

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C T H W"]:
        return x * (1 + (self.weight * self.conv(x)).tanh())
