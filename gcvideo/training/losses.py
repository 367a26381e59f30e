"""Losses of logits and targets that torch does not have as it stands, and what a loss must take."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss

Target = Int64[Tensor, " B"] | Float[Tensor, "B K"]
"""Labels, or the share that each class has of a clip, as blending gives it."""

OF_PROBABILITIES = {
    nn.NLLLoss: "torch.nn.CrossEntropyLoss",
    nn.KLDivLoss: "torch.nn.CrossEntropyLoss",
    nn.BCELoss: "gcvideo.training.BinaryCrossEntropy",
}
"""Losses that take probabilities or their logarithms, and those that take logits."""


@runtime_checkable
class LooksAtClips(Protocol):
    """A loss that looks at the clips too: loss(logits, target, clips)."""

    def begin(self, class_names: Sequence[str], device: torch.device) -> None:
        """Load what it needs, before the first step of a training."""
        ...


def loss_of(
    loss: nn.Module, logits: Float[Tensor, "B K"], target: Target, clips: Float[Tensor, "B 3 T H W"]
) -> Tensor:
    """Return what a loss gives for the logits of clips."""
    return loss(logits, target, clips) if isinstance(loss, LooksAtClips) else loss(logits, target)


def shares(target: Target, num_classes: int) -> Float[Tensor, "B K"]:
    """Return the share of each class: 1 of a clip's own, or what blending gave."""
    return target if target.ndim == 2 else nn.functional.one_hot(target, num_classes).float()


class BinaryCrossEntropy(nn.Module):
    """Every class on its own: -1/(B K) sum_bk [y log s(z) + (1 - y) log(1 - s(z))], s the sigmoid.

    As in Wightman et al., arXiv:2110.00476; timm's BinaryCrossEntropy, which smooths no blended clips. A mean
    over K classes, it has far smaller gradients than cross-entropy: it goes with AdamW or LAMB, or with a
    larger rate.

    Args:
        label_smoothing: s of (1 - s) y + s / K, which stands for y.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing:g}; expected 0 or more, below 1")
        self.label_smoothing = label_smoothing

    def forward(self, logits: Float[Tensor, "B K"], target: Target) -> Float[Tensor, ""]:
        num_classes = logits.shape[1]
        y = shares(target, num_classes).to(logits.dtype)
        y = (1 - self.label_smoothing) * y + self.label_smoothing / num_classes
        return nn.functional.binary_cross_entropy_with_logits(logits, y)


class FocalLoss(nn.Module):
    """Every class on its own, the easy ones less: 1/B sum_bk -a_y (1 - p_y)^gamma log p_y.

    Lin et al., arXiv:1708.02002, equation 5, by torchvision: p_y = s(z) and a_y = alpha of a clip's class,
    1 - s(z) and 1 - alpha of the others. Of a blended clip it is the mean of its classes' by their shares.

    Args:
        alpha: Weight of a clip's class against the others; -1 for none.
        gamma: How much less those count that are told well; 0 is binary cross-entropy, summed over classes.
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0) -> None:
        super().__init__()
        if not (0 <= alpha <= 1 or alpha == -1) or gamma < 0:
            raise ValueError(
                f"alpha is {alpha:g} and gamma {gamma:g}; expected alpha in 0..1 or -1, gamma 0 or more"
            )
        self.alpha = alpha
        self.gamma = gamma

    def forward(self, logits: Float[Tensor, "B K"], target: Target) -> Float[Tensor, ""]:
        y = shares(target, logits.shape[1]).to(logits.dtype)
        of_class, of_others = (
            sigmoid_focal_loss(logits, torch.full_like(logits, one), alpha=self.alpha, gamma=self.gamma)
            for one in (1.0, 0.0)
        )
        return (y * of_class + (1 - y) * of_others).sum() / len(logits)


def require_takes_targets(loss: nn.Module, *, num_classes: int, blended: bool) -> None:
    """Try a loss on the kind of targets that a training will give it.

    Raises:
        ValueError: It takes probabilities, or no targets of this kind, or gives several numbers.
    """
    # What runs, and is another function
    name = type(loss).__name__
    instead = next((other for kind, other in OF_PROBABILITIES.items() if type(loss) is kind), None)
    if instead is not None:
        raise ValueError(
            f"model.loss is {name}, which takes probabilities or their logarithms, and a network gives "
            f"logits; use {instead}"
        )
    # What does not run
    logits = torch.zeros(2, num_classes)
    target = torch.full((2, num_classes), 1 / num_classes) if blended else torch.tensor([0, num_classes - 1])
    kind = "targets [B, K], as data.blend gives," if blended else "labels [B]"
    try:
        with torch.random.fork_rng(devices=[]):
            value = loss(logits, target)
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"model.loss is {name}, which does not take logits [B, K] with {kind} "
            f"({str(error).splitlines()[0]}); torch.nn.CrossEntropyLoss and gcvideo.training."
            "BinaryCrossEntropy and FocalLoss do"
        ) from error
    require_one_number(value, logits)


def require_one_number(loss: Tensor, logits: Float[Tensor, "B K"]) -> None:
    """Raise ValueError unless a loss is one number."""
    if loss.ndim > 0:
        raise ValueError(
            f"model.loss gives {list(loss.shape)} numbers for {list(logits.shape)} logits; expected "
            "one, the mean over the clips"
        )
