"""A backbone, the mean over positions, and a linear layer."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models import resnet
from torchvision.models._utils import IntermediateLayerGetter

DEPTHS = {18: resnet.resnet18, 34: resnet.resnet34, 50: resnet.resnet50, 101: resnet.resnet101}


class PlainResNet(nn.Module):
    """torchvision's ResNet without context: features of c2 to c5.

    Args:
        depth: 18, 34, 50 or 101.
    """

    def __init__(self, depth: int = 50) -> None:
        super().__init__()
        network = DEPTHS[depth]()
        last = network.fc.in_features
        self.channels = {"c2": last // 8, "c3": last // 4, "c4": last // 2, "c5": last}
        stages = {f"layer{number}": f"c{number + 1}" for number in (1, 2, 3, 4)}
        for name, layer in IntermediateLayerGetter(network, stages).items():
            self.add_module(name, layer)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Mapping[str, Float[Tensor, "B C h w"]]:
        features, found = images, {}
        for name, layer in self.named_children():
            features = layer(features)
            if name.startswith("layer"):
                found[f"c{int(name[-1]) + 1}"] = features
        return found


class ClassificationNetwork(nn.Module):
    """Logits of the mean of c5 over positions: torchvision's `avgpool` and `fc` on any backbone.

    Args:
        backbone: Gives features by the names c2 to c5.
        num_classes: K.
    """

    def __init__(self, backbone: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        channels: Mapping[str, int] = backbone.channels  # pyright: ignore[reportAssignmentType]
        self.fc = nn.Linear(channels["c5"], num_classes)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K"]:
        return self.fc(self.backbone(images)["c5"].mean(dim=(2, 3)))
