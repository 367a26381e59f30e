"""What an optimizer is made from: parameter groups and the peak learning rate."""

import logging
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from torch.optim.optimizer import ParamsT

from gcvideo.private_names import NormBase

log = logging.getLogger(__name__)

NORMS = (NormBase, nn.GroupNorm, nn.LayerNorm)


ParameterGroups = list[dict[str, Any]]


Undecayed = Literal["norms", "one_dimension", "nothing"]
Scaling = Literal["linear", "sqrt", "none"]
SCALINGS: dict[Scaling, tuple[Callable[[float, int, int], float], str]] = {
    "linear": (lambda lr, batch, of: lr * batch / of, "{lr:.4g} * global batch {batch} / {of}"),
    "sqrt": (
        lambda lr, batch, of: lr * math.sqrt(batch / of),
        "{lr:.4g} * sqrt(global batch {batch} / {of})",
    ),
    "none": (lambda lr, batch, of: lr, "model.learning_rate at every global batch, here {batch}"),
}
"""The peak of a learning rate for a batch and the batch that it is meant for, and how that is written."""


class Peak(NamedTuple):
    """The peak learning rate of a run, and what it is of."""

    learning_rate: float
    global_batch: int
    reference: int
    scaling: Scaling

    @property
    def value(self) -> float:
        """Return learning_rate by the rule: linear (Goyal et al., arXiv:1706.02677) or by the square root."""
        peak, _ = SCALINGS[self.scaling]
        return peak(self.learning_rate, self.global_batch, self.reference)

    def __str__(self) -> str:
        _, written = SCALINGS[self.scaling]
        how = written.format(lr=self.learning_rate, batch=self.global_batch, of=self.reference)
        return f"peak learning rate {self.value:.4g} = {how}"


def parameter_groups(network: nn.Module, *, undecayed: Undecayed = "norms") -> ParameterGroups:
    """Return two groups for an optimizer: weights with its own decay, and the undecayed parameters.

    Every parameter comes with its name, by which a resumed run finds its state. Decay pulls a norm's scale
    towards zero for no gain, so weights and biases of norms have none, as in the recipes of PySlowFast; with
    one_dimension no bias and no other parameter of one number or one dimension has any, its ZERO_WD_1D_PARAM.
    With nothing all have it, as in the image recipes of torchvision and mmdetection.
    Frozen parameters are in neither group.
    """
    norms = NORMS if undecayed != "nothing" else ()
    spared = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, norms)
        for parameter in module.parameters(recurse=False)
    }
    trained = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    if undecayed == "one_dimension":
        spared |= {id(p) for name, p in trained if p.ndim <= 1 or name.endswith("bias")}
    return [
        {"params": [(name, p) for name, p in trained if id(p) not in spared]},
        {"params": [(name, p) for name, p in trained if id(p) in spared], "weight_decay": 0.0},
    ]


class NesterovSGD(torch.optim.SGD):
    """SGD with Nesterov momentum: m <- momentum m + g, w <- w - lr (g + momentum m), g with decay w added.

    Sutskever et al., ICML 2013, in torch's form; the optimizer of PySlowFast's Kinetics recipes.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate.
        momentum: Share of the last step's direction that stays; without any, the gradient alone.
        weight_decay: Share of a weight that is added to its gradient.
    """

    def __init__(
        self, params: ParamsT, lr: float, *, momentum: float = 0.9, weight_decay: float = 1e-4
    ) -> None:
        super().__init__(params, lr, momentum=momentum, nesterov=momentum > 0, weight_decay=weight_decay)
