"""Whether a training step is finite."""

from collections.abc import Iterable

import torch
from jaxtyping import Bool
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from torch import Tensor, nn


def all_finite(tensors: Iterable[Tensor]) -> Bool[Tensor, ""]:
    """Whether all numbers are finite: their 2-norm is not if any of them is not.

    One pass over the memory, and no waiting for the device.
    """
    return torch.nn.utils.get_total_norm([tensor.detach() for tensor in tensors]).isfinite()


def gradients(network: nn.Module) -> list[Tensor]:
    """The gradients that an optimizer step would use."""
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


def scales_its_loss(precision: Precision) -> bool:
    """Whether infinite gradients are normal: a loss scaler (16-mixed) leaves out the step and scales less."""
    return isinstance(precision, MixedPrecision) and precision.scaler is not None
