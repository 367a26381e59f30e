"""A training step of a process none of whose videos could be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from gcvideo.private_names import BatchNorm


def loss_of_no_clip(network: nn.Module, views: Float[Tensor, "0 V 3 T H W"]) -> Float[Tensor, ""]:
    """Return 0, whose gradient is 0 for every parameter.

    The other processes wait for this one where gradients are averaged, and where batch norms are in step. So
    one blank clip passes the network, and batch norms are shown 0 clips of it: they take part, and add
    nothing.
    """
    blank = views.new_zeros(1, *views.shape[2:])
    with _norms_shown_nothing(network):
        return 0 * network(blank).sum()


@contextmanager
def _norms_shown_nothing(network: nn.Module) -> Iterator[None]:
    shown: dict[nn.Module, Tensor] = {}

    def take_away(norm: nn.Module, inputs: tuple[Any, ...]) -> Tensor:
        shown[norm] = inputs[0]
        return inputs[0][:0]

    def pass_on(norm: nn.Module, inputs: tuple[Any, ...], nothing: Tensor) -> Tensor:
        return shown.pop(norm) + nothing.sum()

    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    hooks = [norm.register_forward_pre_hook(take_away) for norm in norms]
    hooks += [norm.register_forward_hook(pass_on) for norm in norms]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
