"""A backbone, the mean over positions, and a linear layer."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn


class ClassificationNetwork(nn.Module):
    """Logits of the mean of c5 over positions: torchvision's `avgpool` and `fc` on any backbone.

    Args:
        backbone: Gives features by the names c2 to c5, and has `channels`, their numbers by name.
        num_classes: K.
    """

    def __init__(self, backbone: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        channels: Mapping[str, int] = backbone.channels  # pyright: ignore[reportAssignmentType]
        self.fc = nn.Linear(channels["c5"], num_classes)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K"]:
        return self.fc(self.backbone(images)["c5"].mean(dim=(2, 3)))

    @property
    def stages(self) -> dict[str, nn.Module] | None:
        """Return the stem and c2 to c5 by name, or None of a backbone that shows no stages."""
        of_backbone: Mapping[str, nn.Module] | None = getattr(self.backbone, "stages", None)
        if of_backbone is None:
            return None
        named = [id(stage) for stage in of_backbone.values()]
        stem = nn.ModuleList(part for part in self.backbone.children() if id(part) not in named)
        return {"stem": stem, **of_backbone}
