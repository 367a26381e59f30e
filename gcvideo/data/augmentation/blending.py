"""Clips of a batch blended with one another."""

from typing import Literal

from jaxtyping import Float, Int64
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2

Blend = Literal["mixup", "cutmix"]


class BlendClips(nn.Module):
    """Mixup or cutmix of the clips of a batch, one of those named, chosen anew for every batch.

    Zhang et al., arXiv:1710.09412; Yun et al., arXiv:1905.04899. Every frame of a clip is blended with the
    same frame of its partner, cutmix with the same box in all frames.

    Args:
        num_classes: K.
        kinds: Which of the two; both are taken with equal probability.
        alpha: Parameter of the Beta distribution that the share is drawn from.
    """

    def __init__(self, num_classes: int, *, kinds: list[Blend], alpha: float = 1.0) -> None:
        super().__init__()
        classes = {"mixup": v2.MixUp, "cutmix": v2.CutMix}
        self.choice = v2.RandomChoice([classes[kind](alpha=alpha, num_classes=num_classes) for kind in kinds])

    def forward(
        self, views: Float[Tensor, "B 1 3 T H W"], label: Int64[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B 1 3 T H W"], Float[Tensor, "B K"]]:
        # torchvision blends a Video of [B T C H W]; it looks at B, H and W only.
        blended, target = self.choice(tv_tensors.Video(views.squeeze(1)), label)
        return blended.as_subclass(Tensor).unsqueeze(1), target
