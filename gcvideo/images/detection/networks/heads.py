"""What is said of a region: logits of classes, deltas of its box, logits of its mask."""

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

BOX_SIZE, MASK_SIZE = 7, 14
"""Bins of a region's side; masks have twice the second."""


class BoxHead(nn.Module):
    """Two shared linear layers, and one each for classes and boxes.

    The background is class 0. It has no deltas: torchvision's predictor has four of it that nothing trains.
    Layers start as mmdetection's: Xavier's rule for the shared, N(0, 0.01²) for classes, N(0, 0.001²) for
    boxes.

    Args:
        channels: Of the maps.
        num_classes: K.
        hidden: Channels of the two layers.
        per_class: Whether every class has deltas of its own, or all share one.
    """

    def __init__(self, channels: int, num_classes: int, *, hidden: int, per_class: bool) -> None:
        super().__init__()
        self.shared = TwoMLPHead(channels * BOX_SIZE**2, hidden)
        self.classes = nn.Linear(hidden, num_classes + 1)
        self.deltas = nn.Linear(hidden, 4 * num_classes if per_class else 4)
        for layer in (self.shared.fc6, self.shared.fc7):
            nn.init.xavier_uniform_(layer.weight)
        nn.init.normal_(self.classes.weight, std=0.01)
        nn.init.normal_(self.deltas.weight, std=0.001)
        for layer in (self.shared.fc6, self.shared.fc7, self.classes, self.deltas):
            nn.init.zeros_(layer.bias)

    def forward(
        self, pooled: Float[Tensor, "N C s s"]
    ) -> tuple[Float[Tensor, "N K1"], Float[Tensor, "N R 4"]]:
        """Return logits of K classes behind that of the background, and R = K deltas, or the one of all."""
        hidden = self.shared(pooled)
        return self.classes(hidden).float(), self.deltas(hidden).float().unflatten(1, (-1, 4))


class MaskHead(nn.Module):
    """Four convolutions and a transposed one: torchvision's. Logits of K masks, none of the background.

    Args:
        channels: Of the maps.
        num_classes: K.
        hidden: Channels of the convolutions.
    """

    def __init__(self, channels: int, num_classes: int, *, hidden: int) -> None:
        super().__init__()
        self.convolutions = MaskRCNNHeads(channels, (hidden,) * 4, 1)
        self.predictor = MaskRCNNPredictor(hidden, hidden, num_classes)
        for name, parameter in self.predictor.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, pooled: Float[Tensor, "N C s s"]) -> Float[Tensor, "N K m m"]:
        return self.predictor(self.convolutions(pooled)).float()
