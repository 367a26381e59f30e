"""A 3x3 convolution whose taps move: Dai et al., arXiv:1703.06211."""

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import DeformConv2d

NUM_OFFSETS = 2 * 3 * 3
"""y and x of each tap."""


class DeformableConv(DeformConv2d):
    """y(p) = sum_k w_k x(p + p_k + o_k(p)), the offsets o being a 3x3 convolution of x (equation 2).

    Without modulation and with one set of offsets for all channels, as in GCNet's and mmdetection's DCN rows.
    Offsets begin at 0, so that it begins as the convolution that it stands for; `weight` has its name and
    shape, and `conv_offset` is new.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            3,
            stride=stride,
            padding=dilation,
            dilation=dilation,
            groups=groups,
            bias=False,
        )
        self.conv_offset = nn.Conv2d(
            in_channels, NUM_OFFSETS, 3, stride=stride, padding=dilation, dilation=dilation
        )
        self.reset_offsets()

    def reset_offsets(self) -> None:
        """Let every tap stand where a plain convolution has it."""
        nn.init.zeros_(self.conv_offset.weight)
        assert self.conv_offset.bias is not None
        nn.init.zeros_(self.conv_offset.bias)

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] (which takes the offsets)
        self, x: Float[Tensor, "B C H W"]
    ) -> Float[Tensor, "B C2 H2 W2"]:
        return super().forward(x, self.conv_offset(x))
