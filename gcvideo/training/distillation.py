"""A loss that asks another network, the teacher, too."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gcvideo.backbones.checkpoints import Weights, load_weights
from gcvideo.training.losses import BinaryCrossEntropy, Target
from gcvideo.training.making import shared_by_copies


class Distillation(nn.Module):
    """(1 - w) loss(z, y) + w T^2 KL(softmax(t / T) || softmax(z / T)), t the logits of a teacher.

    Hinton et al., arXiv:1503.02531; T^2 keeps gradients of the second term the size of the first's. The
    teacher sees the clips that the student sees, blended ones too. It is frozen, in evaluation, in no
    checkpoint and in no optimizer; its file is read when a training begins, and never otherwise.

    Args:
        teacher: The teacher's network, named as model.network is.
        weights: Its weights, of ours or of another codebase: loaded exactly, head and classes too.
        temperature: T.
        share: w, the share of the teacher in the loss.
        loss: The loss of the labels.

    Raises:
        ValueError: temperature or share is out of range, or weights leave a part of the teacher fresh.
    """

    is_softmax = True

    def __init__(
        self,
        teacher: Callable[[int], nn.Module],
        weights: Weights,
        *,
        temperature: float = 4.0,
        share: float = 0.9,
        loss: Callable[[], nn.Module] = nn.CrossEntropyLoss,
    ) -> None:
        super().__init__()
        if temperature <= 0 or not 0 <= share <= 1:
            raise ValueError(
                f"temperature is {temperature:g} and share {share:g}; expected temperature above 0, "
                "share in 0..1"
            )
        if weights.new:
            raise ValueError(
                f"weights.new of a teacher names {', '.join(weights.new)}, which would teach what nothing "
                "has trained; give a file that has all of it"
            )
        self.make_teacher = shared_by_copies(teacher)
        self.weights = weights
        self.temperature = temperature
        self.share = share
        self.loss = loss()
        self._teacher = _Outside()

    def begin(self, class_names: Sequence[str], device: torch.device) -> None:
        """Load the teacher, once."""
        if self._teacher.network is None:
            network = self.make_teacher(len(class_names))
            load_weights(network, self.weights, class_names=class_names)
            self._teacher.network = network.requires_grad_(False).eval().to(device)

    def forward(
        self,
        logits: Float[Tensor, "B K"],
        target: Target,
        clips: Float[Tensor, "B 3 T H W"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the loss; without clips that of the labels alone."""
        of_labels = self.loss(logits, target)
        if clips is None:
            return of_labels
        assert self._teacher.network is not None  # once training has begun
        with torch.no_grad():
            taught = self._teacher.network(clips)
        of_teacher = self.divergence(taught, logits)
        return (1 - self.share) * of_labels + self.share * of_teacher

    def divergence(self, teacher: Float[Tensor, "B K"], student: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """Return what the student is apart from the teacher."""
        return divergence(teacher, student, temperature=self.temperature)


class BinaryDistillation(Distillation):
    """(1 - w) loss(z, y) + w T^2 / (B K) sum_bk KL(s(t / T) || s(z / T)), s the sigmoid.

    Distillation class by class, for videos that have several; t are the logits of a teacher that was trained
    so.

    Args:
        teacher: The teacher's network, named as model.network is.
        weights: Its weights, of ours or of another codebase: loaded exactly, head and classes too.
        temperature: T.
        share: w, the share of the teacher in the loss.
        loss: The loss of the labels.
    """

    is_softmax = False

    def __init__(
        self,
        teacher: Callable[[int], nn.Module],
        weights: Weights,
        *,
        temperature: float = 1.0,
        share: float = 0.9,
        loss: Callable[[], nn.Module] = BinaryCrossEntropy,
    ) -> None:
        super().__init__(teacher, weights, temperature=temperature, share=share, loss=loss)

    def divergence(self, teacher: Float[Tensor, "B K"], student: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        t, z = teacher / self.temperature, student / self.temperature
        p = t.sigmoid()
        cross, own = (nn.functional.binary_cross_entropy_with_logits(x, p) for x in (z, t))
        return self.temperature**2 * (cross - own)


def divergence(
    teacher: Float[Tensor, "B K"], student: Float[Tensor, "B K"], *, temperature: float
) -> Float[Tensor, ""]:
    """Return T^2 / B sum_b KL(softmax(t_b / T) || softmax(z_b / T))."""
    p, q = ((logits / temperature).log_softmax(1) for logits in (teacher, student))
    return temperature**2 * nn.functional.kl_div(q, p, reduction="batchmean", log_target=True)


class _Outside:
    """A network that is part of no module: neither its parameters nor its state are the loss's.

    Copies of the loss, as averaged weights make one, share it.
    """

    def __init__(self) -> None:
        self.network: nn.Module | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Outside":
        return self
