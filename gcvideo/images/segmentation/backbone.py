"""A residual network that keeps the resolution of c3 to its end."""

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Residual blocks of c2 to c5, by depth."""
EXPANSION = Bottleneck.expansion


class DilatedResNet(ResNet):
    """torchvision's ResNet of output stride 8, by its names, without pooling and `fc`: c4 and c5 are dilated.

    At width 1 it is torchvision's with `replace_stride_with_dilation=[False, True, True]`.

    Args:
        depth: 50 or 101.
        width: Factor on all channels; small runs want less.

    Raises:
        ValueError: There is no network of this depth or width.
    """

    def __init__(self, depth: int = 50, *, width: float = 1.0) -> None:
        nn.Module.__init__(self)  # not ResNet's, which knows one width
        if depth not in BLOCKS:
            raise ValueError(f"depth is {depth}; expected one of {', '.join(map(str, BLOCKS))}")
        channels = round(64 * width)
        if channels < 1:
            raise ValueError(f"width is {width}; expected at least 1/64")
        # What _make_layer reads
        self._norm_layer = nn.BatchNorm2d
        self.inplanes, self.dilation, self.groups, self.base_width = channels, 1, 1, 64
        # conv1 to layer4
        self.conv1 = nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        c2, c3, c4, c5 = BLOCKS[depth]
        self.layer1 = self._make_layer(Bottleneck, channels, c2)
        self.layer2 = self._make_layer(Bottleneck, 2 * channels, c3, stride=2)
        self.layer3 = self._make_layer(Bottleneck, 4 * channels, c4, stride=2, dilate=True)
        self.layer4 = self._make_layer(Bottleneck, 8 * channels, c5, stride=2, dilate=True)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.channels = {f"c{n + 2}": EXPANSION * channels * 2**n for n in range(4)}

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Float[Tensor, "B 3 H W"]
    ) -> dict[str, Float[Tensor, "B C h w"]]:
        """Return the maps c2 to c5."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        c2 = self.layer1(x)
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return {"c2": c2, "c3": c3, "c4": c4, "c5": self.layer4(c4)}
