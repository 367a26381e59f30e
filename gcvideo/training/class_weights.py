"""Weights of classes: how much what a clip has counts, by how many training videos have it."""

import logging
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

log = logging.getLogger(__name__)

ClassWeights = Literal["balanced", "effective_number"] | list[float] | dict[str, float]
MOST_NAMED = 5


@runtime_checkable
class LooksAtCounts(Protocol):
    """A loss that looks at how many training videos have each class."""

    def begin_with(
        self, num_videos: Int64[Tensor, " K"], class_names: Sequence[str], device: torch.device
    ) -> None:
        """Take in the counts, before the first step of a training."""
        ...


@runtime_checkable
class CountsClasses(Protocol):
    """A data module that knows how many training videos have each class."""

    def class_counts(self) -> Int64[Tensor, " K"]: ...


class WeightedLoss(nn.Module):
    """A loss in which w_k stands before the term of a class k that a clip has.

    So it does in torch, as the `weight` of cross-entropy and the `pos_weight` of binary cross-entropy. Terms
    of classes that a clip has not stay as they are, where Cui et al. (arXiv:1901.05555) weigh them too.

    Args:
        class_weights: balanced, effective_number, K numbers in the order of the classes, or numbers by class
            name, which leave the other classes at 1.
        beta: Of effective_number.

    Raises:
        ValueError: A weight is negative or no number, or beta out of range.
    """

    def __init__(self, class_weights: ClassWeights | None, beta: float) -> None:
        super().__init__()
        if not 0 <= beta < 1:
            raise ValueError(f"beta is {beta:g}; expected 0 or more, below 1")
        given = class_weights if isinstance(class_weights, (list, dict)) else []
        for weight in given.values() if isinstance(given, dict) else given:
            if not 0 <= weight < float("inf"):  # nor nan
                raise ValueError(f"class_weights holds {weight:g}; expected numbers of 0 or more")
        self.class_weights = class_weights
        self.beta = beta
        self.weight: Float[Tensor, " K"] | None = None
        """w; no buffer, since a checkpoint need not have it: it follows from the training list."""

    def require_classes(self, class_names: Sequence[str]) -> None:
        """Raise ValueError unless weights that are given are of these classes."""
        given = self.class_weights
        if isinstance(given, list) and len(given) != len(class_names):
            raise ValueError(
                f"model.loss.class_weights has {len(given)} numbers, and there are {len(class_names)} "
                "classes; give one for each, in their order, or those that are not 1 by name"
            )
        for name in given if isinstance(given, dict) else ():
            if name not in class_names:
                near = get_close_matches(name, class_names, n=1)
                meant = f"did you mean {near[0]}?" if near else f"the first is {class_names[0]}"
                raise ValueError(f"model.loss.class_weights names {name}, which is no class; {meant}")

    def begin_with(
        self, num_videos: Int64[Tensor, " K"], class_names: Sequence[str], device: torch.device
    ) -> None:
        """Weigh the classes by their training videos, or as was given."""
        if self.class_weights is None:
            return
        weight = self.weights_of(num_videos, class_names)
        self.weight = weight.to(device, torch.float32)
        log.info("%s", describe(weight, num_videos, class_names, rule=self.class_weights))

    def weights_of(
        self, num_videos: Int64[Tensor, " K"], class_names: Sequence[str]
    ) -> Float64[Tensor, " K"]:
        """Return w."""
        given = self.class_weights
        if isinstance(given, list):
            return torch.tensor(given, dtype=torch.float64)
        if isinstance(given, dict):
            return torch.tensor([given.get(name, 1.0) for name in class_names], dtype=torch.float64)
        if given == "balanced":
            return balanced_weights(num_videos)
        return effective_number_weights(num_videos, beta=self.beta)


def balanced_weights(num_videos: Int64[Tensor, " K"]) -> Float64[Tensor, " K"]:
    """Return w_k = n / (K n_k), scikit-learn's `balanced`, of the K classes that have a video; of others 1.

    n is the sum of all n_k, so that w has the mean 1 over the labels of the list.
    """
    n = num_videos.double()
    has_videos = num_videos > 0
    return torch.where(has_videos, n.sum() / (has_videos.sum() * n), 1.0)


def effective_number_weights(num_videos: Int64[Tensor, " K"], *, beta: float) -> Float64[Tensor, " K"]:
    """Return w_k ~ (1 - beta) / (1 - beta^n_k), with the mean 1 over the classes that have a video.

    Cui et al., arXiv:1901.05555, equation 2 and section 4, on the effective number of videos. Classes
    without a video have weight 1. beta 0 weighs all alike, beta near 1 as balanced does.
    """
    n = num_videos.double()
    has_videos = num_videos > 0
    inverse = torch.where(has_videos, (1 - beta) / (1 - beta**n), 0.0)
    return torch.where(has_videos, inverse * has_videos.sum() / inverse.sum(), 1.0)


def describe(
    weight: Float64[Tensor, " K"],
    num_videos: Int64[Tensor, " K"],
    class_names: Sequence[str],
    *,
    rule: Any,
) -> str:
    """Return the smallest and the largest weight with their classes, and which classes have no video."""

    def named(k: int) -> str:
        return f"{weight[k]:.4g} ({class_names[k]}, {count_of(int(num_videos[k]))})"

    name = rule if isinstance(rule, str) else "as given"
    seen = torch.where(num_videos > 0, weight, float("nan"))
    least, most = int(seen.nan_to_num(float("inf")).argmin()), int(seen.nan_to_num(-1).argmax())
    said = f"class weights, {name}: {named(least)} to {named(most)}"
    unseen = [str(class_names[k]) for k in (num_videos == 0).nonzero().flatten().tolist()]
    if unseen:
        shown = ", ".join(unseen[:MOST_NAMED]) + (", ..." if len(unseen) > MOST_NAMED else "")
        weights = " at weight 1" if isinstance(rule, str) else ""
        said += f"; {len(unseen)} without a training video{weights}: {shown}"
    return said


def count_of(num_videos: int) -> str:
    """Return a number of videos in words."""
    return "1 video" if num_videos == 1 else f"{num_videos} videos"


def begin_with_counts(loss: nn.Module, data: Any, class_names: Sequence[str], device: torch.device) -> None:
    """Tell a loss, and losses within it, how many training videos have each class.

    Raises:
        ValueError: It asks for that, and the data cannot tell.
    """
    asking = [part for part in loss.modules() if isinstance(part, LooksAtCounts)]
    asking = [part for part in asking if getattr(part, "class_weights", True) is not None]
    if not asking:
        return
    if not isinstance(data, CountsClasses):
        raise ValueError(
            f"{type(asking[0]).__name__} weighs classes by their training videos, which a data module "
            "counts; give the trainer one with class_counts(), or leave class_weights out"
        )
    if getattr(data, "train_order", None) is not None:
        log.warning(
            "data.train_order draws rare classes more often, and model.loss weighs them by how rare they are "
            "in the list; either of the two balances them"
        )
    for part in asking:
        part.begin_with(data.class_counts(), class_names, device)


def require_classes(loss: nn.Module, class_names: Sequence[str]) -> None:
    """Raise ValueError if a loss, or one within it, is given weights of other classes."""
    for part in loss.modules():
        if isinstance(part, WeightedLoss):
            part.require_classes(class_names)
