"""Less memory for more time: activations that are computed again when their gradient is due."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.utils.checkpoint import checkpoint

from gcvideo.backbones.protocols import blocks_of, chosen_stages
from gcvideo.private_names import BatchNorm


class ActivationCheckpointing(Callback):
    """Keep only the inputs of residual blocks for the backward pass (Chen et al., arXiv:1604.06174).

    Losses, gradients and the statistics of batch norms are those of training without it: a batch norm
    updates its running statistics the first time only. In a configuration file:

        trainer:
          callbacks:
            - class_path: gcvideo.training.ActivationCheckpointing
              init_args:
                stages: [res2, res3]

    Args:
        stages: Any of the network's stages: res2, res3, res4, res5. The early ones hold the most memory.

    Raises:
        ValueError: No stage is named, or the network shows none of a name.
    """

    def __init__(self, stages: list[str]) -> None:
        if not stages:
            raise ValueError("stages is empty; name some of res2, res3, res4, res5")
        self.stages = stages

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for block in self._blocks(pl_module):
            recompute(block)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for block in self._blocks(pl_module):
            del block.forward  # the class's own is behind it

    def _blocks(self, pl_module: LightningModule) -> Iterator[nn.Module]:
        network = pl_module.get_submodule("network")
        for stage in chosen_stages(network, self.stages, asker="ActivationCheckpointing").values():
            yield from blocks_of(stage)


def recompute(block: nn.Module) -> None:
    """Let a block keep only its inputs for the backward pass; `del block.forward` undoes it."""
    block.forward = partial(_recomputed, block, block.forward)


def _recomputed(block: nn.Module, forward: Callable[..., Any], *inputs: Any) -> Any:
    if not block.training:
        return forward(*inputs)

    if torch.compiler.is_compiling():  # what is computed again is then a graph without the statistics
        return checkpoint(forward, *inputs, use_reentrant=False)

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), _statistics_kept(block)

    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Let batch norms normalise by the batch and leave their running statistics as they are."""
    norms = [module for module in block.modules() if isinstance(module, BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None
    try:
        yield
    finally:  # recomputation ends by an exception once it has what the backward pass needs
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked = count
