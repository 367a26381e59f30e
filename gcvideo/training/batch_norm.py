"""Batch norms with statistics over a number of clips, whatever a process has, and batch norms that stay."""

import logging
from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from gcvideo.keeping.epochs import EpochsOfTheirOwn
from gcvideo.private_names import BatchNorm
from gcvideo.training.precise_bn import PreciseBatchNorm

log = logging.getLogger(__name__)


class SplitBatchNorm(nn.BatchNorm3d):
    """Normalise each of S splits of a batch by its own statistics; split k holds clips k, k + S, k + 2 S, ...

    PySlowFast's SubBatchNorm3d (Wu et al., arXiv:1912.00998). Running statistics follow the mean of the
    means, and the mean of the variances plus the variance of the means, of every step. PySlowFast puts those
    of S norms together at the end, and so takes the smaller variance of means that steps have averaged.
    Weights and buffers are those of the norm that it stands for, and in evaluation it is that norm.

    Args:
        norm: Whose parameters and buffers it has.
        num_splits: S.
    """

    def __init__(self, norm: BatchNorm, num_splits: int = 1) -> None:
        super().__init__(
            norm.num_features,
            norm.eps,
            norm.momentum,
            affine=False,
            track_running_stats=norm.track_running_stats,
        )
        self.affine = norm.affine
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers(recurse=False):
            setattr(self, name, buffer)
        self.training = norm.training
        self.num_splits = num_splits

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any number of position axes."""

    def forward(self, input: Float[Tensor, "N C *positions"]) -> Float[Tensor, "N C *positions"]:
        num_splits = min(self.num_splits, len(input))
        if not self.training or num_splits <= 1:
            return super().forward(input)
        kept = torch.float32 if self.running_mean is None else self.running_mean.dtype
        shape = (2, num_splits, self.num_features)
        means, variances = torch.zeros(shape, device=input.device, dtype=kept).unbind()
        parts = [
            F.batch_norm(
                input[k::num_splits],
                means[k],
                variances[k],
                self.weight,
                self.bias,
                training=True,
                momentum=1.0,  # so that means and variances become those of the split
                eps=self.eps,
            )
            for k in range(num_splits)
        ]
        self._track(means, variances)
        clips = torch.arange(len(input), device=input.device)
        place = torch.cat([clips[k::num_splits] for k in range(num_splits)]).argsort()
        return torch.cat(parts)[place]

    @torch.no_grad()
    def _track(self, means: Float[Tensor, "S C"], variances: Float[Tensor, "S C"]) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        momentum = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            momentum = 1 / float(self.num_batches_tracked) if momentum is None else momentum
        assert momentum is not None
        self.running_mean.lerp_(means.mean(0), momentum)
        self.running_var.lerp_(variances.mean(0) + means.var(0, correction=0), momentum)


class BatchNormOver(Callback):
    """Normalise by statistics over so many clips in training, however many a process has in a batch.

    Where a process has more, its batch is split (SplitBatchNorm): split k of S holds the clips that process k
    of S would have. Where it has fewer, neighbouring processes form groups (torch.nn.SyncBatchNorm, on GPUs).
    Checkpoints have the keys of plain norms. In multigrid training splits follow the batch of the long cycle,
    and the short cycle puts more clips into each, as in PySlowFast. In a configuration file:

        trainer:
          callbacks:
            - class_path: gcvideo.training.BatchNormOver
              init_args:
                clips: 8

    Args:
        clips: Clips that statistics are of.

    Raises:
        ValueError: A process's clips are neither a multiple nor a share of them, groups would have to be of
            CPU processes, or the network has no batch norm.
    """

    def __init__(self, clips: int = 8) -> None:
        if clips < 1:
            raise ValueError(f"BatchNormOver has clips {clips}; expected at least 1")
        self.clips = clips
        self.processes = 1
        """That form a group."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        require_no_other(trainer, self)
        network = pl_module.get_submodule("network")
        _require_norms(network, asker="BatchNormOver")
        own = _clips_of_a_process(trainer, pl_module)
        if own >= self.clips:
            self._require_splits(own)
            with_norms(network, SplitBatchNorm)
            return
        # Groups of neighbouring ranks
        self.processes, rest = divmod(self.clips, own)
        if rest or trainer.world_size % self.processes:
            raise ValueError(
                f"BatchNormOver has clips {self.clips}, and each of {trainer.world_size} processes {own}, "
                "which form no groups of so many; give clips that they do, or another data.batch_size"
            )
        if trainer.strategy.root_device.type == "cpu":
            raise ValueError(
                f"BatchNormOver has clips {self.clips}, and each process {own}: torch lets only those on "
                f"GPUs share statistics; give clips {own}, or data.batch_size {self.clips}"
            )
        group, _ = dist.new_subgroups(group_size=self.processes)
        nn.SyncBatchNorm.convert_sync_batchnorm(network, group)
        log.info("batch norm: statistics over the %d clips of %d processes", self.clips, self.processes)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        norms = _norms(pl_module.get_submodule("network"))
        over_all = [getattr(norm, "process_group", self) is None for norm in norms]  # of torch's in step
        if any(over_all):
            raise ValueError(
                "trainer.sync_batchnorm is True, which is for statistics over all processes, and "
                "BatchNormOver for a number of clips; leave one out"
            )
        if self.processes > 1 and isinstance(trainer.train_dataloader, EpochsOfTheirOwn):
            raise ValueError(
                f"BatchNormOver has clips {self.clips}, more than a process has in the full shape of "
                "data.multigrid; give fewer, or a larger data.batch_size"
            )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.processes > 1:
            return
        loader, own = trainer.train_dataloader, _clips_of_a_process(trainer, pl_module)
        if isinstance(loader, EpochsOfTheirOwn):
            own *= loader.relative_batch(trainer.current_epoch)
        for norm in _norms(pl_module.get_submodule("network")):
            assert isinstance(norm, SplitBatchNorm)
            norm.num_splits = own // self.clips

    def _require_splits(self, own: int) -> None:
        if own % self.clips:
            raise ValueError(
                f"BatchNormOver has clips {self.clips}, and a process {own}, which cannot be split into so "
                "many; give a divisor, or another data.batch_size"
            )
        log.info("batch norm: statistics over %d of the %d clips of a process", self.clips, own)


class FrozenBatchNorm(Callback):
    """Keep the statistics of all batch norms: they normalise with them in training, and do not update them.

    As MMAction2's norm_eval. For fine-tuning with few clips per process. In a configuration file:

        trainer:
          callbacks:
            - class_path: gcvideo.training.FrozenBatchNorm

    Args:
        affine: Whether their weights and biases are trained.

    Raises:
        ValueError: Another callback estimates or splits statistics, or the network has no batch norm.
    """

    def __init__(self, affine: Literal["trained", "frozen"] = "trained") -> None:
        self.affine = affine

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        require_no_other(trainer, self)
        network = pl_module.get_submodule("network")
        _require_norms(network, asker="FrozenBatchNorm")
        if self.affine == "frozen":
            for norm in _norms(network):
                norm.requires_grad_(False)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for norm in _norms(pl_module.get_submodule("network")):
            norm.training = False


def with_norms(network: nn.Module, kind: type[SplitBatchNorm]) -> None:
    """Put a norm of this kind in the place of every batch norm of a network."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, BatchNorm):
                setattr(parent, name, kind(child))


def require_no_other(trainer: Trainer, callback: Callback) -> None:
    """Check that nothing else decides on the statistics that a callback decides on.

    Raises:
        ValueError: Another callback does.
    """
    deciding = (BatchNormOver, FrozenBatchNorm)
    if isinstance(callback, FrozenBatchNorm):
        deciding = (*deciding, PreciseBatchNorm)
    for other in trainer.callbacks:  # pyright: ignore[reportAttributeAccessIssue]
        if other is not callback and isinstance(other, deciding):
            raise ValueError(
                f"trainer.callbacks has {type(callback).__name__} and {type(other).__name__}, which both "
                "decide on the statistics of batch norms; leave one out"
            )


def _clips_of_a_process(trainer: Trainer, classifier: LightningModule) -> int:
    """Return the clips of a process's batch: of every video as many as are repeated."""
    return int(classifier.hparams["batch_size"]) * getattr(getattr(trainer, "datamodule", None), "repeats", 1)


def _norms(network: nn.Module) -> list[BatchNorm]:
    return [module for module in network.modules() if isinstance(module, BatchNorm)]


def _require_norms(network: nn.Module, *, asker: str) -> None:
    if not _norms(network):
        raise ValueError(f"trainer.callbacks has {asker}, and the network has no batch norm; leave it out")
