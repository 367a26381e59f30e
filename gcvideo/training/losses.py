"""Losses of logits and targets that torch does not have as it stands, and what a loss must take."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss

from gcvideo.training.class_weights import ClassWeights, WeightedLoss

Target = Int64[Tensor, " B"] | Float[Tensor, "B K"]
"""Labels, or the share that each class has of a clip, as blending gives it."""

LEAST = 1e-8
"""What stands for 0 in a logarithm, as in timm's losses."""

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


class BinaryCrossEntropy(WeightedLoss):
    """Every class on its own: -1/(B K) sum_bk [w_k y log s(z) + (1 - y) log(1 - s(z))], s the sigmoid.

    As in Wightman et al., arXiv:2110.00476; timm's BinaryCrossEntropy, which smooths no blended clips. A mean
    over K classes, it has far smaller gradients than cross-entropy: it goes with AdamW or LAMB, or with a
    larger rate.

    Args:
        label_smoothing: s of (1 - s) y + s / K, which stands for y.
        class_weights: w, as CrossEntropy has them; torch's pos_weight. By default 1.
        beta: Of effective_number.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weights: ClassWeights | None = None,
        beta: float = 0.999,
    ) -> None:
        super().__init__(class_weights, beta)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing:g}; expected 0 or more, below 1")
        self.label_smoothing = label_smoothing

    def forward(self, logits: Float[Tensor, "B K"], target: Target) -> Float[Tensor, ""]:
        num_classes = logits.shape[1]
        y = shares(target, num_classes).to(logits.dtype)
        y = (1 - self.label_smoothing) * y + self.label_smoothing / num_classes
        w = None if self.weight is None else self.weight.to(logits)
        return nn.functional.binary_cross_entropy_with_logits(logits, y, pos_weight=w)


class FocalLoss(WeightedLoss):
    """Every class on its own, the easy ones less: 1/B sum_bk -a_y (1 - p_y)^gamma log p_y.

    Lin et al., arXiv:1708.02002, equation 5, by torchvision: p_y = s(z) and a_y = alpha w_k of a clip's
    class, 1 - s(z) and 1 - alpha of the others. Of a blended clip it is the mean of its classes' by their
    shares.

    Args:
        alpha: Weight of a clip's class against the others; -1 for none.
        gamma: How much less those count that are told well; 0 is binary cross-entropy, summed over classes.
        class_weights: w, as CrossEntropy has them. By default 1.
        beta: Of effective_number.
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        class_weights: ClassWeights | None = None,
        beta: float = 0.999,
    ) -> None:
        super().__init__(class_weights, beta)
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
        w = 1.0 if self.weight is None else self.weight.to(logits)
        return (w * y * of_class + (1 - y) * of_others).sum() / len(logits)


class AsymmetricLoss(WeightedLoss):
    """Every class on its own, and those that a clip does not have count little: 1/B sum_bk L(z_bk, y_bk).

    L = -w_k y (1 - p)^gamma_pos log p - (1 - y) p_m^gamma_neg log(1 - p_m), with p = s(z) and p_m =
    max(p - clip, 0) (Ridnik et al., arXiv:2009.14119), for videos that have few of many classes. Of a
    blended clip it is the mean of both terms by their shares. timm's AsymmetricLossMultiLabel, by the same
    defaults.

    Args:
        gamma_neg: How much less those classes count that are rightly told to be absent.
        gamma_pos: How much less those that are rightly told to be there; 0 or 1.
        clip: Probability m below which an absent class does not count at all.
        class_weights: w, as CrossEntropy has them. By default 1.
        beta: Of effective_number.
    """

    def __init__(
        self,
        gamma_neg: float = 4.0,
        gamma_pos: float = 1.0,
        clip: float = 0.05,
        class_weights: ClassWeights | None = None,
        beta: float = 0.999,
    ) -> None:
        super().__init__(class_weights, beta)
        if min(gamma_neg, gamma_pos) < 0 or not 0 <= clip < 1:
            raise ValueError(
                f"gamma_neg is {gamma_neg:g}, gamma_pos {gamma_pos:g} and clip {clip:g}; expected 0 or more, "
                "and clip below 1"
            )
        self.gamma_neg = gamma_neg
        self.gamma_pos = gamma_pos
        self.clip = clip

    def forward(self, logits: Float[Tensor, "B K"], target: Target) -> Float[Tensor, ""]:
        z = logits if logits.dtype == torch.float64 else logits.float()  # 1 - p of half precision is 0 early
        y = shares(target, logits.shape[1]).to(z.dtype)
        p = z.sigmoid()
        p_m = (p - self.clip).clamp_min(0)
        of_present = (1 - p) ** self.gamma_pos * nn.functional.logsigmoid(z)
        of_absent = p_m**self.gamma_neg * (1 - p_m).clamp_min(LEAST).log()
        w = 1.0 if self.weight is None else self.weight.to(z)
        return -(w * y * of_present + (1 - y) * of_absent).sum() / len(z)


def require_takes_targets(
    loss: nn.Module, *, num_classes: int, blended: bool, multi_hot: bool = False
) -> None:
    """Try a loss on the kind of targets that a training will give it.

    Args:
        loss: The loss.
        num_classes: K.
        blended: Whether clips are blended.
        multi_hot: Whether a clip may have several classes, or none.

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
    if multi_hot and (told := softmax_in(loss)):
        raise ValueError(
            f"model.loss is {told}: its softmax shares out one among the classes, and with model.task "
            "multi_label each is there or not; use gcvideo.training.BinaryCrossEntropy, AsymmetricLoss or "
            "FocalLoss, and for a teacher BinaryDistillation"
        )
    # What does not run
    logits = torch.zeros(2, num_classes)
    if multi_hot:
        target, kind = torch.eye(2)[:, :1].expand(2, num_classes), "targets [B, K] of 0 and 1"
    elif blended:
        target, kind = torch.full((2, num_classes), 1 / num_classes), "targets [B, K], as data.blend gives,"
    else:
        target, kind = torch.tensor([0, num_classes - 1]), "labels [B]"
    try:
        with torch.random.fork_rng(devices=[]):
            value = loss(logits, target)
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"model.loss is {name}, which does not take logits [B, K] with {kind} "
            f"({str(error).splitlines()[0]}); {known_to_take(multi_hot=multi_hot)} do"
        ) from error
    require_one_number(value, logits)


def known_to_take(*, multi_hot: bool) -> str:
    """Return losses by name that take these targets."""
    if multi_hot:
        return "gcvideo.training.BinaryCrossEntropy, AsymmetricLoss and FocalLoss"
    return "torch.nn.CrossEntropyLoss and gcvideo.training.BinaryCrossEntropy and FocalLoss"


def softmax_in(loss: nn.Module) -> str | None:
    """Return which loss, of one or within it, is known to take a softmax over the classes."""
    for part in loss.modules():
        if isinstance(part, nn.CrossEntropyLoss) or getattr(part, "is_softmax", False):
            within = "" if part is loss else f"{type(loss).__name__} of "
            return f"{within}{type(part).__name__}"
    return None


def require_one_number(loss: Tensor, logits: Float[Tensor, "B K"]) -> None:
    """Raise ValueError unless a loss is one number."""
    if loss.ndim > 0:
        raise ValueError(
            f"model.loss gives {list(loss.shape)} numbers for {list(logits.shape)} logits; expected "
            "one, the mean over the clips"
        )
