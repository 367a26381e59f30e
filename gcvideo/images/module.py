"""What the modules of all image tasks have in common: weights to start from, optimizer and schedule."""

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal

from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.optimizer import ParamsT

from gcvideo.images.weights import ImageWeights, load_weights
from gcvideo.images.writing import PredictionWriter
from gcvideo.keeping.checkpoint_file import require_fit
from gcvideo.training import HalfCosine, NesterovSGD, Schedule
from gcvideo.training.optimisation import Scaling, Undecayed
from gcvideo.training.optimised import OptimisedNetwork

log = logging.getLogger(__name__)


class ImageModule(OptimisedNetwork):
    """A network of pictures that `gcvideo image` trains, validates, tests and predicts with.

    A task derives from it and gives

    - `figure`, the name of the figure that the best checkpoint has most of, as "top1", and `figures`, all
      that a validation logs; they are logged as val/NAME and test/NAME;
    - training_step, which logs train/loss, and validation_step, test_step, predict_step;
    - writer(folder), which writes what predict_step returns.

    Its __init__ makes self.network, which is all that is trained, and hands **settings on to this one:

        def __init__(self, backbone: nn.Module, class_names: list[str], **settings: Any) -> None:
            super().__init__(MyNetwork(backbone, len(class_names)), class_names, **settings)

    Batches are NamedTuples with `names`, the pictures by their paths, among their fields. Optimizer and
    schedule may be torch's, or classes of one's own, as those of a VideoClassifier.

    Args:
        network: The network.
        class_names: The K class names; from the command line they come with the data.
        weights: Weights to start from. A checkpoint that is resumed or reloaded has weights of its own: then
            this file is not read, and need not be there.
        learning_rate: Peak learning rate at a global batch of reference_batch_size pictures.
        reference_batch_size: The global batch that learning_rate is meant for.
        scale_learning_rate: How the peak follows the global batch: linear, by the ratio to
            reference_batch_size; sqrt, by its square root; none, not at all.
        batch_size: Pictures per process and step; from the command line it comes with the data.
        layer_decay: Factor on the learning rate of a stage for every stage behind it; the head has the peak.
        no_weight_decay: What the optimizer's weight_decay leaves alone: norms; every bias and every other
            parameter of one_dimension; or nothing.
        optimizer: A class of torch.optim, or another that is made from parameter groups and a learning rate.
        lr_schedule: Course of the learning rate: HalfCosine, StepDecay, another Schedule, or a class of
            torch.optim.lr_scheduler.
        lr_interval: How often a schedule of torch's steps; a Schedule gives the rate of every step.
    """

    figure: ClassVar[str]
    """The figure by which checkpoints are compared, as "top1"."""
    figures: ClassVar[tuple[str, ...]]
    """All figures that a validation logs, as val/NAME."""

    def __init__(
        self,
        network: nn.Module,
        class_names: list[str],
        *,
        weights: ImageWeights | None = None,
        learning_rate: float = 0.1,
        reference_batch_size: int = 256,
        scale_learning_rate: Scaling = "linear",
        batch_size: int = 32,
        layer_decay: float = 1.0,
        no_weight_decay: Undecayed = "nothing",
        optimizer: Callable[[ParamsT, float], Optimizer] = NesterovSGD,
        lr_schedule: Schedule | Callable[[Optimizer], LRScheduler] = HalfCosine(),  # noqa: B008 (frozen)
        lr_interval: Literal["step", "epoch"] = "epoch",
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["network"])
        self.network = network
        self.class_names = list(class_names)
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

    @abstractmethod
    def training_step(self, batch: Any, batch_idx: int) -> STEP_OUTPUT: ...

    @abstractmethod
    def validation_step(self, batch: Any, batch_idx: int) -> STEP_OUTPUT: ...

    @abstractmethod
    def test_step(self, batch: Any, batch_idx: int) -> STEP_OUTPUT: ...

    @abstractmethod
    def predict_step(self, batch: Any, batch_idx: int) -> Any: ...

    @abstractmethod
    def writer(self, folder: Path) -> PredictionWriter:
        """Return what writes predictions into a folder."""

    def load(self, weights: ImageWeights) -> None:
        """Load weights to start from into the network, exactly but for what is said to be new."""
        own: Callable[[ImageWeights], None] | None = getattr(self.network, "load_weights", None)
        if own is None:
            load_weights(self.network, weights)
        else:  # which knows more files, as a detector
            own(weights)

    def start_from_weights(self) -> None:
        """Load the weights to start from, once, unless a checkpoint has brought others."""
        if self.weights is not None:
            self.load(self.weights)
            self.weights = None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take a checkpoint's weights.

        Raises:
            ValueError: It is of another network, or another number of classes.
        """
        self.weights = None
        names = checkpoint.get("hyper_parameters", {}).get("class_names", self.class_names)
        if len(names) != len(self.class_names):
            raise ValueError(
                f"the checkpoint knows {len(names)} classes ({', '.join(names[:3])}, ...), and the data "
                f"{len(self.class_names)} ({', '.join(self.class_names[:3])}, ...); expected the same classes"
            )
        require_fit(self.state_dict(), checkpoint["state_dict"])

    def setup(self, stage: str) -> None:
        num_parameters = sum(parameter.numel() for parameter in self.network.parameters())
        log.info("%s: %.2f M parameters", type(self.network).__name__, num_parameters / 1e6)

    def on_fit_start(self) -> None:
        self.start_from_weights()

    def on_validation_start(self) -> None:
        self.start_from_weights()

    def on_test_start(self) -> None:
        self.start_from_weights()

    def on_predict_start(self) -> None:
        self.start_from_weights()

    @classmethod
    def logged_in_validation(cls) -> Iterable[str]:
        """Return the names of the figures of a validation, as they are logged."""
        return [f"val/{name}" for name in cls.figures]
