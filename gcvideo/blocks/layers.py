"""Layers that do not mind how many position axes there are: x [B C *positions].

In a sequence, an image or a clip a convolution of size 1 is the same linear map at every position.
It is kept as that map, so one weight serves all three; a Conv2d's or Conv3d's weight becomes it by
`weight.flatten(1)`.
"""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

CONVOLUTIONS = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}
"""By the number of axes of what they read."""


class Pointwise(nn.Linear):
    """W x_i + b at every position i: a convolution of size 1.

    On a CPU it runs as one, in either memory format and in half the time of a matrix product (oneDNN and MKL
    on AMD EPYC). Elsewhere, and at a single position, it is the product: moving the channel axis copies
    nothing, and of a channels-last clip it makes the contiguous matrix that the product wants.
    """

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] (x, as in the equations)
        self, x: Float[Tensor, "B C *positions"]
    ) -> Float[Tensor, "B D *positions"]:
        if x.device.type == "cpu" and x.ndim in CONVOLUTIONS and x.shape[2:].numel() > 1:
            ones = [1 for _ in x.shape[2:]]
            weight = self.weight.unflatten(1, (*ones, -1)).movedim(-1, 1)
            if x.is_contiguous():  # the strides of the weight say which memory format is meant
                weight = self.weight.unflatten(1, (-1, *ones))
            return CONVOLUTIONS[x.ndim](x, weight, self.bias)
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Projection(Pointwise):
    """W x_i + b with W ~ N(0, 0.01²), b = 0, as non-local networks draw theirs.

    Their logits are sums over hundreds of unscaled channels; wider weights would start the softmax
    at one position.
    """

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.01)
        nn.init.zeros_(self.bias)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over clips and positions: BatchNorm3d on clips, BatchNorm2d on images."""

    def _check_input_dim(self, input: Float[Tensor, "B C *positions"]) -> None:
        """Accept maps of any number of axes: in this alone BatchNorm1d, 2d and 3d differ."""


class SpatialMaxPool(nn.Module):
    """Maximum over 1 x 2 x 2 positions of a clip, 2 x 2 of an image; an odd last row is left out.

    Raises ValueError for a map without two spatial axes of at least 2 cells.
    """

    def forward(self, x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B C *pooled"]:
        if x.ndim not in (4, 5) or min(x.shape[-2:]) < 2:
            raise ValueError(
                f"spatial pooling by 2 x 2 was asked of a map of shape {tuple(x.shape)}; it takes "
                "[B C H W] or [B C T H W] with H, W >= 2; use subsampling 'none' for others"
            )
        clip = rearrange(x, "B C ... H W -> B C (...) H W")  # an image is a clip of one frame
        pooled = F.max_pool3d(clip, kernel_size=(1, 2, 2))
        return pooled.reshape(*x.shape[:-2], *pooled.shape[-2:])
