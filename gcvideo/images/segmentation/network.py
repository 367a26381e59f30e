"""A network of dense prediction: dilated residual network, global context, two convolutions."""

from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

OUTPUT_STRIDE = 8
"""Pixels of a picture to a cell of c5, in height and in width."""


class DenseHead(nn.Module):
    """Logits at 8 times the resolution: W_2 * U(ReLU(BN(W_1 * x))).

    W_1 and W_2 are 3x3 convolutions with bias; U resizes bilinearly, corners on corners.

    Args:
        channels: Of x.
        num_classes: K.
        hidden_channels: Between the convolutions.
    """

    def __init__(self, channels: int, num_classes: int, *, hidden_channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, hidden_channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(hidden_channels)
        self.classify = nn.Conv2d(hidden_channels, num_classes, 3, padding=1)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B K H W"]:
        hidden = F.relu(self.norm(self.reduce(x)))
        resized = F.interpolate(hidden, scale_factor=OUTPUT_STRIDE, mode="bilinear", align_corners=True)
        return self.classify(resized)


class DensePrediction(nn.Module):
    """Logits of every pixel: a DenseHead on the global context of c5.

    c5 is the last map of a residual network whose c4 and c5 keep the resolution of c3, by dilation 2 and 4.
    With ResNet-50, a global-context block of ratio 1/16 and 2 classes it has 33,484,739 parameters and takes
    26.94 G multiply-adds at 224 x 224, those of a published network of this form.

    Args:
        backbone: Residual network of output stride 8 that returns its maps by name, and says in `channels`,
            by name, how many channels they have.
        num_classes: K.
        hidden_channels: Between the two convolutions; a quarter of c5's if not given.
        block: Makes the context block for a number of channels; None is no block.

    Raises:
        ValueError: When called, if c5 has another stride.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        *,
        hidden_channels: int | None = None,
        block: Callable[[int], nn.Module] | None,
    ) -> None:
        super().__init__()
        of_maps: Mapping[str, int] = backbone.channels  # pyright: ignore[reportAssignmentType]
        channels = of_maps["c5"]
        self.backbone = backbone
        self.context = nn.Identity() if block is None else block(channels)
        self.head = DenseHead(channels, num_classes, hidden_channels=hidden_channels or channels // 4)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K H W"]:
        """Return the logits; beyond a height and width that 8 does not divide they are cut off."""
        height, width = images.shape[2:]
        c5 = self.backbone(images)["c5"]
        rows, columns = -(-height // OUTPUT_STRIDE), -(-width // OUTPUT_STRIDE)
        if c5.shape[2:] != (rows, columns):
            raise ValueError(
                f"c5 of {height} x {width} pixels has {c5.shape[2]} x {c5.shape[3]} cells; expected {rows} x "
                f"{columns}: give the backbone dilation in c4 and c5, for an output stride of 8"
            )
        return self.head(self.context(c5))[..., :height, :width]
