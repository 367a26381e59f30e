"""Stop a training before a step that is not finite changes a weight."""

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from torch import Tensor, nn
from torch.optim import Optimizer

from gcvideo.distributed import end_all_ranks, gather_rows
from gcvideo.keeping.consensus import Consensus, Fact
from gcvideo.keeping.last_checkpoint import LastCheckpoint


@runtime_checkable
class NamedBatch(Protocol):
    """A batch that says what it is of."""

    @property
    def names(self) -> list[str]:
        """The videos or pictures by name."""
        ...


class RequireFinite(Callback):
    """Stop all ranks before a step whose loss or gradient norm is not finite on any of them.

    Infinite gradients under a loss scaler are left to the scaler.

    Args:
        consensus: Where the ranks learn of it.
        last: What writes last.ckpt.

    Raises:
        ValueError: A step is not finite, and which, of what; or weights that are to be saved are not.
    """

    def __init__(self, consensus: Consensus, last: LastCheckpoint) -> None:
        self.last = last
        self._bad_loss = consensus.add(lambda *_: ~torch.stack(self._losses).isfinite().all())
        self._bad_gradient = consensus.add(lambda trainer, pl_module: ~_finite_gradient(trainer, pl_module))
        self._losses: list[Tensor] = []
        self._names: list[str] = []

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: NamedBatch, batch_idx: int
    ) -> None:
        self._names += batch.names

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        self._losses.append(loss.detach())

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        self._refuse_if(self._bad_loss, "loss", trainer)
        self._refuse_if(self._bad_gradient, "gradient norm", trainer)
        self._losses, self._names = [], []

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        state = [tensor for tensor in checkpoint["state_dict"].values() if tensor.is_floating_point()]
        if not all_finite(state):
            raise ValueError(
                f"weights or statistics are not finite after step {trainer.global_step}; no checkpoint is "
                "written; lower the learning rate"
            )

    def _refuse_if(self, fact: Fact, what: str, trainer: Trainer) -> None:
        if not fact.anywhere:
            return
        mine: list[dict[str, object]] = [{"process": trainer.global_rank, "read": ", ".join(self._names)}]
        found = gather_rows(mine if fact.here else [])
        where = "; ".join(f"in process {row['process']}: {row['read']}" for row in found)
        end_all_ranks(
            f"step {trainer.global_step + 1}: the {what} is not finite; no weight was changed, and "
            f"{self.last.described()}; lower the learning rate, or look at what was read {where}"
        )


def _finite_gradient(trainer: Trainer, pl_module: LightningModule) -> Bool[Tensor, ""]:
    return all_finite([] if scales_its_loss(trainer.precision_plugin) else gradients(pl_module))


def all_finite(tensors: Iterable[Tensor]) -> Bool[Tensor, ""]:
    """Return whether all numbers are finite: their 2-norm is not if any of them is not.

    One pass over the memory, and no waiting for the device.
    """
    return torch.nn.utils.get_total_norm([tensor.detach() for tensor in tensors]).isfinite()


def gradients(network: nn.Module) -> list[Tensor]:
    """Return the gradients that an optimizer step would use."""
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


def scales_its_loss(precision: Precision) -> bool:
    """Return whether infinite gradients are normal: a loss scaler (16-mixed) then skips the step."""
    return isinstance(precision, MixedPrecision) and precision.scaler is not None
