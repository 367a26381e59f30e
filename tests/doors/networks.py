"""A network family of one's own, as a researcher writes it in a module beside the run."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from gcvideo.backbones import PlacementMapping, place


class Residual(nn.Module):
    """relu(x + BN(conv(x))), or of another width relu(BN(conv(x)))."""

    def __init__(self, channels_in: int, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.conv = nn.Conv3d(channels_in, out_channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(out_channels)
        self.adds = channels_in == out_channels

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C2 T H W"]:
        branch = self.norm(self.conv(x))
        return (x + branch if self.adds else branch).relu()


class Tiny(nn.Module):
    """A stem, two stages and a head, with the two Protocols: stages and features."""

    def __init__(
        self,
        num_classes: int,
        *,
        width: int = 4,
        block: Callable[[int], nn.Module] | None = None,
        placement: PlacementMapping | None = None,
    ) -> None:
        super().__init__()
        self.head = nn.Linear(2 * width, num_classes)  # made first, and passed last
        self.stages = nn.ModuleDict(
            {
                "stem": nn.Sequential(
                    nn.Conv3d(3, width, (1, 7, 7), (1, 4, 4), (0, 3, 3), bias=False), nn.BatchNorm3d(width)
                ),
                "res2": nn.Sequential(Residual(width, width), Residual(width, width)),
                "res3": nn.Sequential(Residual(width, 2 * width), Residual(2 * width, 2 * width)),
            }
        )
        if block is not None and placement is not None:
            place(block, self.stages, placement)

    def features(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B C"]:
        for stage in self.stages.values():
            clip = stage(clip)
        return clip.mean(dim=(2, 3, 4))

    def forward(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B K"]:
        return self.head(self.features(clip))
