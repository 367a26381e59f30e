"""A network of another library, as README adapts one."""

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.video import SwinTransformer3d


class TinySwin(nn.Module):
    """torchvision's SwinTransformer3d of four narrow blocks."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.net = SwinTransformer3d([2, 4, 4], 16, [2, 2], [1, 2], [8, 7, 7], num_classes=num_classes)

    @property
    def stages(self) -> dict[str, nn.Module]:
        first, merging, second = self.net.features
        return {"stem": self.net.patch_embed, "first": first, "second": nn.ModuleList([merging, *second])}

    @property
    def head(self) -> nn.Module:
        return self.net.head

    def forward(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B K"]:
        return self.net(clip)
