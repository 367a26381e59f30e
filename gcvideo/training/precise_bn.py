"""Precise batch-norm statistics before a validation."""

import logging
from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from fvcore.nn.precise_bn import BN_MODULE_TYPES, update_bn_stats
from jaxtyping import Float
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from gcvideo.clip import ClipBatches, ViewBatch

log = logging.getLogger(__name__)


class PreciseBatchNorm(Callback):
    """Before every validation of a training run, estimate batch-norm statistics with the weights as they are.

    The running averages of training lag behind the weights, and are rough at a few clips per process. Mean
    and variance become those of all positions of `num_batches` training batches and all processes together
    (Wu & Johnson, arXiv:2105.07576, section 3). The batches are read once more, the same ones before every
    validation, and are not blended. Neither weights nor random state change: the run trains exactly as one
    without. In a configuration file:

        trainer:
          callbacks:
            - class_path: gcvideo.training.PreciseBatchNorm
              init_args:
                num_batches: 200

    Args:
        num_batches: Training batches per process; the whole epoch where it has fewer.

    Raises:
        ValueError: num_batches is not positive, the trainer was given loaders instead of a data module, or
            weights are averaged by a callback that comes later.
    """

    def __init__(self, num_batches: int = 200) -> None:
        if num_batches < 1:
            raise ValueError(f"num_batches is {num_batches}; expected at least 1")
        self.num_batches = num_batches

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        callbacks: list[Callback] = trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]
        if any(isinstance(behind, WeightAveraging) for behind in callbacks[callbacks.index(self) :]):
            raise ValueError(
                "PreciseBatchNorm stands before the averaging of weights, and would estimate statistics of "
                "weights that are not validated; name it last in trainer.callbacks"
            )

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        network = pl_module.get_submodule("network")
        norms = [module for module in network.modules() if isinstance(module, BN_MODULE_TYPES)]
        if not norms:
            return
        # A loader draws from the global generator when it starts, which the run must not notice.
        with torch.random.fork_rng(devices=[]):
            loader = _training_loader(trainer)
            num_batches = min(self.num_batches, int(trainer.num_training_batches))
            old = [_statistics(norm) for norm in norms]
            for norm in norms:
                norm.train()
            with trainer.precision_plugin.train_step_context():
                update_bn_stats(network, _views_on_device(loader, trainer.strategy), num_batches)
            for norm, (mean, variance) in zip(norms, old, strict=True):
                norm.eval()
                new_mean, new_variance = _over_processes(*_statistics(norm), trainer.strategy)
                # In place: a distributed network holds on to the buffers that it was wrapped with.
                norm.running_mean = mean.copy_(new_mean)
                norm.running_var = variance.copy_(new_variance)
        log.info(
            "precise batch norm: %d layers estimated from %d training batches on each of %d processes",
            len(norms),
            num_batches,
            trainer.world_size,
        )


def _training_loader(trainer: Trainer) -> ClipBatches:
    """Return a loader of its own, so that the one that feeds the running epoch is not disturbed."""
    datamodule = getattr(trainer, "datamodule", None)
    if datamodule is None:
        raise ValueError(
            "PreciseBatchNorm makes a training loader of its own; give the trainer a data module"
        )
    return getattr(datamodule, "statistics_dataloader", datamodule.train_dataloader)()


def _views_on_device(loader: ClipBatches, strategy: Strategy) -> Iterator[Float[Tensor, "B 3 T H W"]]:
    # The second time makes up for batches none of whose videos can be read.
    for clips in chain(loader, loader):
        batch: ViewBatch = strategy.batch_to_device(clips)
        if len(batch.views):
            yield batch.views.flatten(0, 1)


def _statistics(norm: nn.Module) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"]]:
    return norm.get_buffer("running_mean"), norm.get_buffer("running_var")


def _over_processes(
    mean: Float[Tensor, " C"], variance: Float[Tensor, " C"], strategy: Strategy
) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"]]:
    """Return mean and variance of what all processes saw, each of them equally much."""
    total_mean = strategy.reduce(mean.clone(), reduce_op="mean")
    between = strategy.reduce((mean - total_mean).square(), reduce_op="mean")
    within = strategy.reduce(variance.clone(), reduce_op="mean")
    return total_mean, within + between


def in_working_order(callbacks: Sequence[Callback]) -> list[Callback]:
    """Return the callbacks with those that average weights first, and of several PreciseBatchNorm the last.

    Configuration files that are stacked add their callbacks in any order, and two may bring the same one.
    """
    former = [at for at, one in enumerate(callbacks) if isinstance(one, PreciseBatchNorm)][:-1]
    kept = [callback for at, callback in enumerate(callbacks) if at not in former]
    if former:
        log.info("PreciseBatchNorm is named %d times; the last of them counts", len(former) + 1)
    return sorted(kept, key=lambda callback: not isinstance(callback, WeightAveraging))
