"""The training, validation and test steps of a video classifier."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.optim.optimizer import ParamsT
from torchmetrics import MetricCollection

from gcvideo.backbones import describe_placed, shown_stages
from gcvideo.backbones.checkpoints import Weights, load_weights
from gcvideo.clip import ViewBatch
from gcvideo.distributed import gather_rows, totals
from gcvideo.evaluation import PredictionTable, video_metrics, video_probabilities, view_logits
from gcvideo.keeping.checkpoint_file import require_fit
from gcvideo.run_folder import RunFolder
from gcvideo.training.empty_batch import loss_of_no_clip
from gcvideo.training.finetuning import scaled_by_depth
from gcvideo.training.optimisation import (
    CountedSchedule,
    NesterovSGD,
    ParameterGroups,
    keep_state_by_name,
    kind_of,
    make_schedule,
    parameter_groups,
)
from gcvideo.training.schedules import HalfCosine, Schedule

log = logging.getLogger(__name__)


class VideoClassifier(LightningModule):
    """A network, its loss, its optimizer and its metrics.

    The peak learning rate follows the linear rule (Goyal et al., arXiv:1706.02677): learning_rate * global
    batch / reference_batch_size. Optimizer and schedule may be torch's, or classes of one's own:

        optimizer: {class_path: torch.optim.AdamW, init_args: {weight_decay: 0.05}}
        lr_schedule: {class_path: torch.optim.lr_scheduler.MultiStepLR, init_args: {milestones: [90, 130]}}
        lr_interval: epoch

    Args:
        network: The network, a class whose number of classes stays open: gcvideo.backbones.VideoResNet
            (explained by --model.network.help gcvideo.backbones.VideoResNet) or one of your own.
        class_names: The K class names; from the command line they come with the data.
        weights: Weights to start from, of ours or of another codebase. A checkpoint that is resumed or
            reloaded has weights of its own: then this file is not read, and need not be there.
        learning_rate: Peak learning rate at a global batch of reference_batch_size clips.
        reference_batch_size: The global batch that learning_rate is meant for.
        batch_size: Clips per process and step; from the command line it comes with the data.
        layer_decay: Factor on the learning rate of a stage for every stage behind it; the head has the peak.
            1 is the same rate everywhere; fine-tuning may want less.
        optimizer: A class of torch.optim, or another that is made from parameter groups and a learning rate,
            which is learning_rate by the linear rule. Norms have no weight decay. Where a class takes the
            place of another, settings that both have stay.
        lr_schedule: Course of the learning rate: HalfCosine, StepDecay, another Schedule, or a class of
            torch.optim.lr_scheduler.
        lr_interval: How often a schedule of torch's steps; a Schedule gives the rate of every step.
        loss: A class whose instance gives, for logits [B K] and labels [B], or targets [B K] where clips are
            blended, the mean over the clips; label_smoothing is a setting of torch.nn.CrossEntropyLoss.
        views_per_forward: Views that pass the network together in evaluation; bounds memory.
        channels_last: Keep activations in channels_last_3d order.
    """

    def __init__(
        self,
        network: Callable[[int], nn.Module],
        class_names: list[str],
        *,
        weights: Weights | None = None,
        learning_rate: float = 0.1,
        reference_batch_size: int = 64,
        batch_size: int = 8,
        layer_decay: float = 1.0,
        optimizer: Callable[[ParamsT, float], Optimizer] = NesterovSGD,
        lr_schedule: Schedule | Callable[[Optimizer], LRScheduler] = HalfCosine(),  # noqa: B008 (frozen)
        lr_interval: Literal["step", "epoch"] = "epoch",
        loss: Callable[[], nn.Module] = nn.CrossEntropyLoss,
        views_per_forward: int = 30,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        if views_per_forward < 1:
            raise ValueError(f"views_per_forward is {views_per_forward}; expected at least 1")
        if not 0 < layer_decay <= 1:
            raise ValueError(f"layer_decay is {layer_decay}; expected more than 0, up to 1")
        self.save_hyperparameters()
        self.network = network(len(class_names))
        self.class_names = class_names
        self.weights = weights
        self.learning_rate = learning_rate
        self.reference_batch_size = reference_batch_size
        self.batch_size = batch_size
        self.layer_decay = layer_decay
        self.optimizer = _shared_by_copies(optimizer)
        self.lr_schedule = (
            lr_schedule if isinstance(lr_schedule, Schedule) else _shared_by_copies(lr_schedule)
        )
        self.lr_interval = lr_interval
        self.loss = loss()
        if any(True for _ in self.loss.parameters()):
            raise ValueError(
                f"model.loss is {type(self.loss).__name__}, which has weights to train, and the optimizer "
                "has those of the network; make them the network's"
            )
        self.views_per_forward = views_per_forward
        if channels_last:
            self.network.to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]

        self.val_metrics = video_metrics(len(class_names)).clone(prefix="val/")
        self.test_metrics = video_metrics(len(class_names)).clone(prefix="test/")
        self.predictions = PredictionTable(class_names)
        self.num_views: int | None = None
        self.num_read = self.num_unreadable = 0

    def forward(self, views: Float[Tensor, "B V 3 T H W"]) -> Float[Tensor, "B K"]:
        """Return class probabilities of videos, averaged over their views."""
        logits = view_logits(self.network, views, views_per_forward=self.views_per_forward)
        return video_probabilities(logits)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take a checkpoint's weights.

        Raises:
            ValueError: It is of another network, or of another number of classes.
        """
        self.weights = None
        names = checkpoint.get("hyper_parameters", {}).get("class_names", self.class_names)
        if len(names) != len(self.class_names):
            raise ValueError(
                f"the checkpoint knows {len(names)} classes ({names[0]}, ...), and the data "
                f"{len(self.class_names)} ({self.class_names[0]}, ...); expected the same classes"
            )
        require_fit(self.state_dict(), checkpoint["state_dict"])

    def start_from_weights(self) -> None:
        """Load the weights to start from, once, unless a checkpoint has brought others."""
        if self.weights is not None:
            load_weights(self.network, self.weights, class_names=self.class_names)
            self.weights = None

    def setup(self, stage: str) -> None:
        num_parameters = sum(parameter.numel() for parameter in self.network.parameters())
        placed = f", {describe_placed(self.network)}" if shown_stages(self.network) else ""
        log.info("%s: %.2f M parameters%s", type(self.network).__name__, num_parameters / 1e6, placed)

    def on_validation_start(self) -> None:
        self.start_from_weights()

    def on_test_start(self) -> None:
        self.start_from_weights()

    def on_fit_start(self) -> None:
        self.start_from_weights()

    def training_step(self, batch: ViewBatch, batch_idx: int) -> Float[Tensor, ""]:
        """Return the mean loss over the B videos of the batch: L = 1/B sum_b L_b.

        A video that could not be read counts in B and has no L_b, so that the mean over ranks weighs every
        video the same.
        """
        if len(batch.views) == 0:
            loss = loss_of_no_clip(self.network, batch.views)
        else:
            logits = self.network(batch.views.flatten(0, 1))
            loss = self.loss(logits, batch.target)
            if loss.ndim > 0:
                raise ValueError(
                    f"model.loss gives {list(loss.shape)} numbers for {list(logits.shape)} logits; expected "
                    "one, the mean over the clips"
                )
            loss = loss * (len(logits) / (len(logits) + len(batch.unreadable)))
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch.views) + len(batch.unreadable))
        return loss

    def validation_step(self, batch: ViewBatch, batch_idx: int) -> None:
        self._evaluate(batch, self.val_metrics)
        self.num_read += len(batch.views)
        self.num_unreadable += len(batch.unreadable)

    def test_step(self, batch: ViewBatch, batch_idx: int) -> None:
        probabilities = self._evaluate(batch, self.test_metrics)
        self.predictions.add(batch.video_id, probabilities, batch.target.tolist())
        self.predictions.add_unreadable(batch.unreadable)

    def on_validation_epoch_start(self) -> None:
        self.num_views = None
        self.num_read = self.num_unreadable = 0

    def on_validation_epoch_end(self) -> None:
        """Refuse figures of no video, from which a best checkpoint would be chosen.

        Raises:
            ValueError: No process could read any. A sanity check of some of the videos does not count.
        """
        asked, loader = self.trainer.num_sanity_val_steps, self.trainer.val_dataloaders
        some = self.trainer.sanity_checking and loader is not None and asked < len(loader)
        read, unreadable, some = totals(self.num_read, self.num_unreadable, some, device=self.device)
        if unreadable and not read and not some:
            raise ValueError(
                f"none of the {unreadable} validation videos could be read; the lines above name them"
            )

    def on_test_epoch_start(self) -> None:
        self.num_views = None
        self.predictions = PredictionTable(self.class_names)

    def on_test_epoch_end(self) -> None:
        rows = gather_rows(self.predictions.rows)
        if self.trainer.is_global_zero and not self.trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue]
            file = RunFolder(Path(self.trainer.default_root_dir)).predictions
            self.predictions.write(file, rows)
            log.info("wrote %d rows to %s", len(rows), file)
        self._log_with_unreadable(rows)

    def _log_with_unreadable(self, rows: list[dict[str, object]]) -> None:
        """Log, beside the figures of the videos that could be read, those that count the others as wrong."""
        num_unreadable = sum("unreadable" in row for row in rows)
        if num_unreadable == len(rows):
            raise ValueError(f"none of the {len(rows)} test videos could be read; see predictions.csv")
        share_read = 1 - num_unreadable / len(rows)
        figures = {"test/videos": float(len(rows)), "test/unreadable": float(num_unreadable)}
        for name in ("test/top1", "test/top5"):
            figures[f"{name}_unreadable_wrong"] = share_read * float(self.test_metrics[name].compute())
        self.log_dict(figures, sync_dist=True)

    def _evaluate(self, batch: ViewBatch, metrics: MetricCollection) -> Float[Tensor, "B K"]:
        probabilities = batch.views.new_empty(0, len(self.class_names))
        if len(batch.views):
            self._require_same_views(batch)
            probabilities = self(batch.views)
            metrics.update(probabilities, batch.target)
        for name, metric in metrics.items():  # of every process, since they are put together at the end
            self.log(name, metric, prog_bar=name.endswith(("loss", "top1")), batch_size=len(probabilities))
        return probabilities

    def _require_same_views(self, batch: ViewBatch) -> None:
        num_views = batch.views.shape[1]
        if self.num_views not in (None, num_views):
            raise ValueError(
                f"{batch.video_id[0]} has {num_views} views, and the videos before it {self.num_views}; "
                "expected the same views of every video"
            )
        self.num_views = num_views

    def configure_optimizers(self) -> Any:
        global_batch = self.batch_size * self.trainer.world_size * self.trainer.accumulate_grad_batches
        peak = self.learning_rate * global_batch / self.reference_batch_size
        log.info(
            "peak learning rate %.4g = %.4g * global batch %d / %d",
            peak,
            self.learning_rate,
            global_batch,
            self.reference_batch_size,
        )
        optimizer = self.optimizer(self.parameter_groups(peak), peak)
        keep_state_by_name(optimizer)
        schedule = {
            "scheduler": self._schedule(optimizer),
            "interval": "step",
            "name": f"lr-{kind_of(optimizer).__name__}",
        }
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def parameter_groups(self, peak: float) -> ParameterGroups:
        """Return the network's trained parameters in groups of one learning rate and weight decay each."""
        groups = parameter_groups(self.network)
        return scaled_by_depth(groups, self.network, peak=peak, layer_decay=self.layer_decay)

    def _schedule(self, optimizer: Optimizer) -> CountedSchedule:
        steps_per_epoch = self._steps_per_epoch()
        schedule = self.lr_schedule
        if isinstance(schedule, Schedule):
            num_epochs = self.trainer.estimated_stepping_batches / steps_per_epoch
            factor = LambdaLR(optimizer, lambda step: schedule(step / steps_per_epoch, num_epochs))
            return CountedSchedule(factor)
        every = 1 if self.lr_interval == "step" else steps_per_epoch
        return CountedSchedule(make_schedule(schedule, optimizer), every=every)

    def _steps_per_epoch(self) -> int:
        if self.trainer.estimated_stepping_batches == float("inf"):
            raise ValueError(
                "the schedule needs the length of the run; give the trainer max_epochs or max_steps"
            )
        self.trainer.fit_loop.setup_data()  # which a run of max_steps alone has not done yet
        return math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)


def _shared_by_copies(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return a call that a deep copy of the module, as averaged weights are one, shares with it.

    What jsonargparse makes of a class_path holds its parser, which cannot be copied; a function is not.
    """
    return lambda *arguments: make(*arguments)
