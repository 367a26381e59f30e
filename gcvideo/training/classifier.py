"""The training step of a video classifier, its optimizer and its schedule."""

import logging
from collections.abc import Callable
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.optimizer import ParamsT

from gcvideo.backbones import describe_placed, network_for, shown_stages
from gcvideo.backbones.checkpoints import Weights, load_weights
from gcvideo.backbones.layout import to_channels_last
from gcvideo.clip import ViewBatch
from gcvideo.keeping.checkpoint_file import require_fit
from gcvideo.training.class_weights import begin_with_counts, require_classes
from gcvideo.training.empty_batch import loss_of_no_clip
from gcvideo.training.evaluated import EvaluatedNetwork
from gcvideo.training.losses import LooksAtClips, loss_of, require_one_number
from gcvideo.training.optimisation import NesterovSGD, Scaling, Undecayed
from gcvideo.training.optimised import OptimisedNetwork
from gcvideo.training.schedules import HalfCosine, Schedule
from gcvideo.training.tasks import (
    Pooling,
    TaskName,
    make_task,
    require_same_labels,
    require_same_task,
    task_of,
)

log = logging.getLogger(__name__)


class VideoClassifier(OptimisedNetwork, EvaluatedNetwork):
    """A network, its loss, its optimizer and its metrics.

    The peak learning rate follows the linear rule (Goyal et al., arXiv:1706.02677): learning_rate * global
    batch / reference_batch_size, unless scale_learning_rate says otherwise. Optimizer and schedule may be
    torch's, or classes of one's own:

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
        scale_learning_rate: How the peak follows the global batch: linear, by the ratio to
            reference_batch_size; sqrt, by its square root; none, not at all.
        batch_size: Clips per process and step; from the command line it comes with the data.
        layer_decay: Factor on the learning rate of a stage for every stage behind it; the head has the peak.
            1 is the same rate everywhere; fine-tuning may want less. Of a transformer every block is a stage.
        no_weight_decay: What the optimizer's weight_decay leaves alone: norms; besides them every bias and
            every other parameter of one_dimension; or nothing.
        optimizer: A class of torch.optim, or another that is made from parameter groups and a learning rate,
            which is learning_rate by the linear rule. Where a class takes the place of another, settings
            that both have stay.
        lr_schedule: Course of the learning rate: HalfCosine, StepDecay, another Schedule, or a class of
            torch.optim.lr_scheduler.
        lr_interval: How often a schedule of torch's steps; a Schedule gives the rate of every step.
        task: What a video's classes are: single_label, one of K; or multi_label, any number of them, which
            data.multi_label follows.
        over_views: Of several labels, what a video's probability is of those of its views: mean, or max, as
            PySlowFast tests on Charades.
        loss: A class whose instance gives, for logits [B K] and labels [B], or targets [B K] where clips are
            blended or have several labels, the mean over the clips; label_smoothing is a setting of
            torch.nn.CrossEntropyLoss. By default that, and of several labels BinaryCrossEntropy.
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
        scale_learning_rate: Scaling = "linear",
        batch_size: int = 8,
        layer_decay: float = 1.0,
        no_weight_decay: Undecayed = "norms",
        optimizer: Callable[[ParamsT, float], Optimizer] = NesterovSGD,
        lr_schedule: Schedule | Callable[[Optimizer], LRScheduler] = HalfCosine(),  # noqa: B008 (frozen)
        lr_interval: Literal["step", "epoch"] = "epoch",
        task: TaskName = "single_label",
        over_views: Pooling = "mean",
        loss: Callable[[], nn.Module] | None = None,
        views_per_forward: int = 30,
        channels_last: bool = True,
    ) -> None:
        made = make_task(task, class_names, over_views=over_views)
        super().__init__(made, views_per_forward=views_per_forward)
        self.save_hyperparameters()
        self.network = network_for(network, len(class_names))
        self.weights = weights
        self.optimise_by(
            learning_rate=learning_rate,
            reference_batch_size=reference_batch_size,
            scale_learning_rate=scale_learning_rate,
            batch_size=batch_size,
            layer_decay=layer_decay,
            no_weight_decay=no_weight_decay,
            optimizer=optimizer,
            lr_schedule=lr_schedule,
            lr_interval=lr_interval,
        )
        self.loss = (loss or made.loss)()
        if any(True for _ in self.loss.parameters()):
            raise ValueError(
                f"model.loss is {type(self.loss).__name__}, which has weights to train, and the optimizer "
                "has those of the network; make them the network's"
            )
        require_classes(self.loss, class_names)
        if channels_last:
            to_channels_last(self.network)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take a checkpoint's weights.

        Raises:
            ValueError: It is of another network, another task, or another number of classes.
        """
        self.weights = None
        hyperparameters = checkpoint.get("hyper_parameters", {})
        require_same_task(task_of(hyperparameters), self.task.name, "the checkpoint")
        names = hyperparameters.get("class_names", self.class_names)
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
        data = getattr(self.trainer, "datamodule", None)
        require_same_labels(self.task.name, multi_label=getattr(data, "multi_label", None))
        num_parameters = sum(parameter.numel() for parameter in self.network.parameters())
        placed = f", {describe_placed(self.network)}" if shown_stages(self.network) else ""
        log.info("%s: %.2f M parameters%s", type(self.network).__name__, num_parameters / 1e6, placed)

    def on_validation_start(self) -> None:
        self.start_from_weights()

    def on_test_start(self) -> None:
        self.start_from_weights()

    def on_fit_start(self) -> None:
        self.start_from_weights()
        if isinstance(self.loss, LooksAtClips):
            self.loss.begin(self.class_names, self.device)
        data = getattr(self.trainer, "datamodule", None)
        begin_with_counts(self.loss, data, self.class_names, self.device)

    def training_step(self, batch: ViewBatch, batch_idx: int) -> Float[Tensor, ""]:
        """Return the mean loss over the B videos of the batch: L = 1/B sum_b L_b.

        A video that could not be read counts in B and has no L_b, so that the mean over ranks weighs every
        video the same.
        """
        if len(batch.views) == 0:
            loss = loss_of_no_clip(self.network, batch.views)
        else:
            clips = batch.views.flatten(0, 1)
            logits = self.network(clips)
            loss = loss_of(self.loss, logits, batch.target, clips)
            require_one_number(loss, logits)
            loss = loss * (len(logits) / (len(logits) + len(batch.unreadable)))
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch.views) + len(batch.unreadable))
        return loss
