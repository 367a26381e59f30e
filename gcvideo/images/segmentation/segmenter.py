"""The steps of a network of dense prediction."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxtyping import Float, UInt8
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from gcvideo.atomic import write_text
from gcvideo.cells import quoted
from gcvideo.images.module import ImageModule
from gcvideo.images.segmentation.batch import IGNORED, SegmentedBatch
from gcvideo.images.segmentation.figures import DenseFigures, class_table, confusion_of
from gcvideo.images.segmentation.loss import pixel_cross_entropy
from gcvideo.images.segmentation.network import DensePrediction
from gcvideo.images.segmentation.writing import MaskWriter
from gcvideo.run_folder import Evaluated, RunFolder

log = logging.getLogger(__name__)


class Segmenter(ImageModule):
    """A class for every pixel: cross-entropy over the pixels that count, mean intersection over union.

    Args:
        backbone: Residual network of output stride 8; its last map is c5.
        class_names: The K class names; from the command line they come with the data.
        context: A context block on c5, a class that is made for a number of channels; none if not given.
            Blocks within the residual network are the backbone's own.
        hidden_channels: Between the head's two convolutions; a quarter of c5's if not given.
        settings: Those of every ImageModule.
    """

    figure = "miou"
    figures = ("loss", "miou", "pixel_accuracy")

    def __init__(
        self,
        backbone: nn.Module,
        class_names: list[str],
        *,
        context: Callable[[int], nn.Module] | None = None,
        hidden_channels: int | None = None,
        **settings: Any,
    ) -> None:
        network = DensePrediction(backbone, len(class_names), block=context, hidden_channels=hidden_channels)
        super().__init__(network, class_names, **settings)
        self.val_figures, self.test_figures = DenseFigures(len(class_names)), DenseFigures(len(class_names))
        self.confusion = confusion_of(len(class_names))

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K H W"]:
        """Return class probabilities of every pixel."""
        return self.network(images).float().softmax(dim=1)

    def training_step(self, batch: SegmentedBatch, batch_idx: int) -> Float[Tensor, ""]:
        ((images, classes),) = batch.groups
        loss = pixel_cross_entropy(self.network(images), classes, ignore_index=IGNORED)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(images))
        return loss

    def validation_step(self, batch: SegmentedBatch, batch_idx: int) -> None:
        self._evaluate(batch, self.val_figures, "val")

    def test_step(self, batch: SegmentedBatch, batch_idx: int) -> None:
        self._evaluate(batch, self.test_figures, "test")

    def predict_step(self, batch: SegmentedBatch, batch_idx: int) -> list[UInt8[Tensor, "H W"]]:
        found = [self.network(images).argmax(dim=1).byte().cpu() for images, _ in batch.groups]
        return [classes for group in found for classes in group]

    def on_validation_epoch_start(self) -> None:
        self.confusion.reset()

    def on_test_epoch_start(self) -> None:
        self.confusion.reset()

    def on_validation_epoch_end(self) -> None:
        if self.trainer.state.fn == TrainerFn.VALIDATING:
            self._write_classes("val")

    def on_test_epoch_end(self) -> None:
        self._write_classes("test")

    def writer(self, folder: Path) -> MaskWriter:
        return MaskWriter(folder, self.class_names)

    def _evaluate(self, batch: SegmentedBatch, figures: DenseFigures, evaluated: Evaluated) -> None:
        for images, classes in batch.groups:
            logits = self.network(images)
            figures.update(logits, classes)
            if self.trainer.state.fn != TrainerFn.FITTING:
                self.confusion.update(logits.argmax(dim=1), classes)
        for name, figure in figures.items():
            self.log(
                f"{evaluated}/{name}", figure, prog_bar=name in ("loss", "miou"), batch_size=len(batch.names)
            )

    def _write_classes(self, evaluated: Evaluated) -> None:
        """Write what is known of every class, of all ranks."""
        table = class_table(self.confusion.compute(), self.class_names)
        if self.trainer.is_global_zero and not self.trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue]
            file = RunFolder(Path(self.trainer.default_root_dir)).class_figures(evaluated)
            write_text(file, table.map(quoted).to_csv(index=False))
            log.info("intersection over union of every class: %s", file)
