"""Clips of a batch blended with one another."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torchvision import tv_tensors
from torchvision.transforms import v2

from gcvideo.data.augmentation.temporal import require_probability

Blend = Literal["mixup", "cutmix"]


@dataclass(frozen=True)
class Blending:
    """How clips are blended: mixup or cutmix, with a probability; the defaults are those of PySlowFast.

    Label smoothing is a setting of the loss, `model.loss.label_smoothing`, and does with blended targets what
    PySlowFast does: of a share s, 1 - s + s/K stands for the class and s/K for every other.

    Args:
        mixup_alpha: Parameter of the Beta distribution of mixup's share; 0 leaves mixup out.
        cutmix_alpha: Parameter of that of cutmix; 0 leaves cutmix out.
        probability: Of a batch to be blended.
        switch_probability: Of a blended batch to be blended by cutmix, where there are both.
    """

    mixup_alpha: float = 0.8
    cutmix_alpha: float = 1.0
    probability: float = 1.0
    switch_probability: float = 0.5

    def require_possible(self) -> None:
        """Raise ValueError where a setting is out of range."""
        alphas = self.mixup_alpha, self.cutmix_alpha
        if not (min(alphas) >= 0 and max(alphas) > 0):
            raise ValueError(
                f"data.blend: mixup_alpha {self.mixup_alpha}, cutmix_alpha {self.cutmix_alpha}; expected "
                "0 or more, and not both 0"
            )
        require_probability(self.probability, "data.blend")
        require_probability(self.switch_probability, "data.blend: switch_probability")

    @property
    def cutmix_share(self) -> float:
        """Of the batches that are blended, the share that cutmix blends."""
        if self.mixup_alpha == 0:
            return 1.0
        return self.switch_probability if self.cutmix_alpha > 0 else 0.0


class ChosenBlend(nn.Module):
    """A way to blend, chosen anew for every batch; one draw of it and of the share is for the whole batch.

    Targets are blended as clips are: of several labels a class has the sum of the shares of those clips that
    have it.

    Every frame of a clip is blended with the same frame of the clip before it in the batch (the first with
    the last), cutmix with the same box in all frames.

    Args:
        num_classes: K.
        choices: The ways.
        probabilities: Of each of them; equal where there are none.
    """

    def __init__(
        self, num_classes: int, *, choices: list[nn.Module], probabilities: list[float] | None = None
    ) -> None:
        super().__init__()
        self.choice = v2.RandomChoice(choices, p=probabilities)
        self.unblended = Unblended(num_classes)

    def forward(
        self, views: Float[Tensor, "B 1 3 T H W"], label: Int64[Tensor, " B"] | Float[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B 1 3 T H W"], Float[Tensor, "B K"]]:
        # torchvision blends a Video of [B T C H W]; it looks at B, H and W only.
        blended, target = self.choice(tv_tensors.Video(views.squeeze(1)), label)
        return blended.as_subclass(Tensor).unsqueeze(1), target


class BlendClips(ChosenBlend):
    """Mixup or cutmix of the clips of a batch, one of those named, chosen anew for every batch.

    Zhang et al., arXiv:1710.09412; Yun et al., arXiv:1905.04899.

    Args:
        num_classes: K.
        kinds: Which of the two; both are taken with equal probability.
        alpha: Parameter of the Beta distribution that the share is drawn from.
    """

    def __init__(self, num_classes: int, *, kinds: list[Blend], alpha: float = 1.0) -> None:
        classes = {"mixup": v2.MixUp, "cutmix": v2.CutMix}
        made: list[nn.Module] = [classes[kind](alpha=alpha, num_classes=num_classes) for kind in kinds]
        super().__init__(num_classes, choices=made)


class BlendSometimes(ChosenBlend):
    """Mixup, cutmix or neither, each with its own probability and parameter.

    Args:
        num_classes: K.
        blending: The settings.
    """

    def __init__(self, num_classes: int, blending: Blending) -> None:
        share, probability = blending.cutmix_share, blending.probability
        ways: list[tuple[float, nn.Module]] = [(1 - probability, Unblended(num_classes))]
        if share < 1:
            mixup = v2.MixUp(alpha=blending.mixup_alpha, num_classes=num_classes)
            ways.append((probability * (1 - share), mixup))
        if share > 0:
            cutmix = v2.CutMix(alpha=blending.cutmix_alpha, num_classes=num_classes)
            ways.append((probability * share, cutmix))
        probabilities, choices = zip(*ways, strict=True)
        super().__init__(num_classes, choices=list(choices), probabilities=list(probabilities))


class Unblended(nn.Module):
    """Leave clips as they are; targets have the form of those of blended ones.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(
        self, clips: Float[Tensor, "B ..."], label: Int64[Tensor, " B"] | Float[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B ..."], Float[Tensor, "B K"]]:
        return clips, one_hot(label, self.num_classes).float() if label.ndim == 1 else label
