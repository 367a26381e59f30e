"""A backbone with a feature pyramid."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

STRIDES = (4, 8, 16, 32, 64)
"""Pixels to a cell of P2 to P6."""
LEVELS = ("c2", "c3", "c4", "c5")


class PyramidBackbone(nn.Module):
    """Maps P2 to P6 of c2 to c5: torchvision's feature pyramid (Lin et al., arXiv:1612.03144).

    P6 is every second cell of P5. Convolutions start by Xavier's rule, as mmdetection's.

    Args:
        body: Gives c2 to c5 by name, and says in `channels`, by name, how many channels they have.
        channels: Of P2 to P6.

    Raises:
        ValueError: The backbone lacks one of the four maps.
    """

    def __init__(self, body: nn.Module, channels: int) -> None:
        super().__init__()
        given: Mapping[str, int] = body.channels  # pyright: ignore[reportAssignmentType]
        if missing := [name for name in LEVELS if name not in given]:
            raise ValueError(
                f"{type(body).__name__} gives {', '.join(given)}; expected {', '.join(missing)} too"
            )
        self.body = body
        self.fpn = FeaturePyramidNetwork([given[name] for name in LEVELS], channels, LastLevelMaxPool())
        for layer in self.fpn.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight)
        self.out_channels = channels

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> dict[str, Float[Tensor, "B C _ _"]]:
        """Return P2 to P5 by the names c2 to c5, and P6 as pool."""
        found = self.body(images)
        return self.fpn({name: found[name] for name in LEVELS})
