"""Pictures of a run: what the network reads, and what it takes for what."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import STEP_OUTPUT
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from gcvideo.atomic import replacing
from gcvideo.clip import ViewBatch
from gcvideo.evaluation.multi_label import AveragePrecisions
from gcvideo.run_folder import RunFolder
from gcvideo.training.tasks import MultiLabel

Picture = UInt8[np.ndarray, "h w 3"]

MOST_NAMES = 60
"""Classes whose names still fit along an axis."""


@runtime_checkable
class DrawsClips(Protocol):
    """A data module that can draw a batch as the network reads it."""

    def clip_picture(self, batch: ViewBatch) -> Picture:
        """Return the clips of a batch, after augmentation and blending, with their targets."""
        ...


class LogPictures(Callback):
    """Draw the first training batch of an epoch, and the confusion matrix of every validation.

    Of several labels a video it is the average precision of every class in place of confusions.

    The newest of both are PNG files in the run's folder. All are given to TensorBoard, W&B and MLflow, and to
    a logger of one's own that has W&B's log_image(key, images, step). No random generator is used.

    Args:
        every_n_epochs: Epochs between two pictures of clips.

    Raises:
        ValueError: every_n_epochs is not positive, the data module draws no clips, or the classifier's
            validation_step does not return probabilities.
    """

    def __init__(self, every_n_epochs: int = 1) -> None:
        if every_n_epochs < 1:
            raise ValueError(f"every_n_epochs is {every_n_epochs}; expected at least 1")
        self.every_n_epochs = every_n_epochs
        self.of_classes: ConfusionPicture | PrecisionPicture | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, DrawsClips):
            raise ValueError(
                f"LogPictures draws the clips by the data module's clip_picture, which {type(data).__name__} "
                "has not; leave the callback out, or subclass VideoDataModule"
            )

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: ViewBatch, batch_idx: int
    ) -> None:
        due = batch_idx == 0 and trainer.current_epoch % self.every_n_epochs == 0
        if due and trainer.is_global_zero and len(batch.views):
            data = getattr(trainer, "datamodule", None)
            assert isinstance(data, DrawsClips)
            self._show(trainer, "training_clips", data.clip_picture(batch))

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            names: list[str] = pl_module.class_names  # pyright: ignore[reportAssignmentType]
            several = isinstance(getattr(pl_module, "task", None), MultiLabel)
            self.of_classes = (PrecisionPicture if several else ConfusionPicture)(names, pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: ViewBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self.of_classes is None:
            return
        if not isinstance(outputs, Tensor):
            raise ValueError(
                "LogPictures draws the confusion matrix of the probabilities that validation_step returns, "
                f"and that of {type(pl_module).__name__} returns {type(outputs).__name__}; return them"
            )
        if len(outputs):
            self.of_classes.metric.update(outputs, batch.target)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.of_classes is None:
            return
        picture, self.of_classes = self.of_classes, None
        found = picture.metric.compute()  # of all processes
        if trainer.is_global_zero and not trainer.sanity_checking:
            self._show(trainer, picture.name, picture.draw(found.cpu().numpy()))

    def _show(self, trainer: Trainer, name: str, picture: Picture) -> None:
        """Write a picture into the run's folder, and give it to the loggers."""
        if trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue]
            return
        with replacing(RunFolder(Path(trainer.default_root_dir)).picture(name)) as partial:
            Image.fromarray(picture).save(partial, "PNG")
        step = trainer.global_step
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(f"pictures/{name}", picture, step, dataformats="HWC")
            elif isinstance(logger, MLFlowLogger):
                assert logger.run_id is not None
                file = f"pictures/{name}-{step:07d}.png"
                logger.experiment.log_image(logger.run_id, picture, artifact_file=file)
            elif callable(log_image := getattr(logger, "log_image", None)):
                log_image(f"pictures/{name}", [picture], step=step)


class ConfusionPicture:
    """Which classes are taken for which."""

    name = "confusion"

    def __init__(self, class_names: Sequence[str], device: torch.device) -> None:
        self.class_names = class_names
        self.metric = MulticlassConfusionMatrix(len(class_names), normalize="true").to(device)

    def draw(self, shares: Float[np.ndarray, "K K"]) -> Picture:
        """Draw what the metric has computed."""
        return draw_confusion(shares, self.class_names)


class PrecisionPicture:
    """How well every class is found, where a video may have several."""

    name = "average_precision"

    def __init__(self, class_names: Sequence[str], device: torch.device) -> None:
        self.class_names = class_names
        self.metric = AveragePrecisions(len(class_names)).to(device)

    def draw(self, precisions: Float[np.ndarray, " K"]) -> Picture:
        """Draw what the metric has computed."""
        return draw_precisions(precisions, self.class_names)


def draw_precisions(precisions: Float[np.ndarray, " K"], names: Sequence[str]) -> Picture:
    """Draw the average precision of every class that a video has as a bar, the highest first."""
    known = [k for k in np.argsort(-precisions, kind="stable") if not np.isnan(precisions[k])]
    named = len(known) <= MOST_NAMES
    figure = Figure(figsize=(8.0, 1.5 + (0.22 * len(known) if named else 6.0)), layout="constrained", dpi=100)
    canvas, axes = FigureCanvasAgg(figure), figure.subplots()
    axes.barh(range(len(known)), precisions[known], height=0.8 if named else 1.0)
    axes.set(xlabel="average precision", xlim=(0, 1), ylim=(len(known) - 0.5, -0.5))
    axes.set_yticks(range(len(known)) if named else [], [str(names[k]) for k in known] if named else [])
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def draw_confusion(shares: Float[np.ndarray, "K K"], names: Sequence[str]) -> Picture:
    """Draw the share of the videos of each class (row) that is taken for each class (column).

    Shades follow the square root of the share, so that one of 1 % is seen.
    """
    named = len(names) <= MOST_NAMES
    side = 3.0 + (0.22 * len(names) if named else 5.0)
    figure = Figure(figsize=(side, side), layout="constrained", dpi=100)
    canvas, axes = FigureCanvasAgg(figure), figure.subplots()
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="prediction", ylabel="label")
    ticks = range(len(names)) if named else []
    axes.set_xticks(ticks, names if named else [], rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, names if named else [])
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
