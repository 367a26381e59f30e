"""The steps of a detector of instances."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from gcvideo.atomic import write_text
from gcvideo.distributed import gather_rows
from gcvideo.images.detection.average_precision import KINDS, CocoMetric
from gcvideo.images.detection.batch import DetectionBatch, Prediction
from gcvideo.images.detection.networks import MaskRCNN
from gcvideo.images.detection.results import rows_of, write_results
from gcvideo.images.detection.writer import DetectionWriter
from gcvideo.images.module import ImageModule
from gcvideo.images.writing import Row
from gcvideo.run_folder import Evaluated, RunFolder

log = logging.getLogger(__name__)

HALF = 0.5
"""The probability from which a pixel is of an instance."""


class Detector(ImageModule):
    """A detector of instances: the losses of its network, COCO's AP of boxes and masks.

    Args:
        backbone: Gives features by the names c2 to c5.
        class_names: The K class names; from the command line they come with the data.
        head: A class that is made of the backbone and K: MaskRCNN, CascadeMaskRCNN or another. Its instance
            gives, in training, losses by name for pictures [3 H W] with values 0..1 and their targets (boxes,
            labels 1..K, masks), and in evaluation boxes, labels, scores and masks of each picture: as
            torchvision's detectors do.
        least_drawn_score: The score from which predict draws a detection.
        settings: Those of every ImageModule.
    """

    figure = "box_ap"
    figures = tuple(
        f"{kind}_{name}"
        for kind in KINDS.values()
        for name in ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar100")
    )

    def __init__(
        self,
        backbone: nn.Module,
        class_names: list[str],
        *,
        head: Callable[[nn.Module, int], nn.Module] = MaskRCNN,
        least_drawn_score: float = 0.5,
        **settings: Any,
    ) -> None:
        super().__init__(head(backbone, len(class_names)), class_names, **settings)
        if not 0 <= least_drawn_score <= 1:
            raise ValueError(f"model.least_drawn_score is {least_drawn_score}; expected 0..1")
        self.least_drawn_score = least_drawn_score
        self.metric = CocoMetric(class_names)
        self.category_ids: list[int] | None = None
        self.rows: list[Row] = []

    def forward(self, images: list[Tensor]) -> list[Prediction]:
        """Return the detections of pictures, on the CPU, with masks of 0 and 1."""
        return [_on_cpu(found) for found in self.network(images)]

    def training_step(self, batch: DetectionBatch, batch_idx: int) -> Float[Tensor, ""]:
        losses: dict[str, Tensor] = self.network(batch.images, batch.targets)
        total = torch.stack(list(losses.values())).sum()
        self.log("train/loss", total, prog_bar=True, batch_size=len(batch.images))
        shown = {f"train/{name}": loss.detach() for name, loss in losses.items()}
        self.log_dict(shown, batch_size=len(batch.images))
        return total

    def on_validation_epoch_start(self) -> None:
        self.metric.reset()

    def validation_step(self, batch: DetectionBatch, batch_idx: int) -> None:
        self.metric.update(batch.image_ids, self(batch.images), batch.targets)

    def on_validation_epoch_end(self) -> None:
        self._log_figures("val")

    def on_test_epoch_start(self) -> None:
        self.metric.reset()
        self.rows = []
        data: Any = self.trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        self.category_ids = data.category_ids("test")

    def test_step(self, batch: DetectionBatch, batch_idx: int) -> None:
        assert self.category_ids is not None  # since the epoch's start
        predictions = self(batch.images)
        self.metric.update(batch.image_ids, predictions, batch.targets)
        for prediction, image_id in zip(predictions, batch.image_ids, strict=True):
            self.rows += rows_of(prediction, image_id, self.category_ids)

    def on_test_epoch_end(self) -> None:
        self._log_figures("test")
        rows = gather_rows(self.rows)
        if self.trainer.is_global_zero and not self.trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue]
            run = RunFolder(Path(self.trainer.default_root_dir))
            write_results(rows, {kind: run.results(kind) for kind in KINDS})
            log.info("wrote %d detections to %s", len(rows), run.results("bbox"))

    def predict_step(self, batch: DetectionBatch, batch_idx: int) -> list[Prediction]:
        return self(batch.images)

    def writer(self, folder: Path) -> DetectionWriter:
        return DetectionWriter(folder, self.class_names, least_score=self.least_drawn_score)

    def on_fit_start(self) -> None:
        super().on_fit_start()
        data: Any = self.trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        self.category_ids = data.category_ids("train")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save by which ids results name the classes, where no data set says it."""
        checkpoint["category_ids"] = self.category_ids

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.category_ids = checkpoint.get("category_ids")

    def _log_figures(self, evaluated: Evaluated) -> None:
        found = self.metric.compute()
        self.metric.reset()
        shown = {f"{evaluated}/{name}": value for name, value in found.figures.items()}
        of_bar = [f"{evaluated}/{kind}_ap" for kind in KINDS.values()]
        for name, value in shown.items():
            self.log(name, value, prog_bar=name in of_bar)
        trainer = self.trainer
        if trainer.is_global_zero and not trainer.fast_dev_run and trainer.state.fn != TrainerFn.FITTING:  # pyright: ignore[reportAttributeAccessIssue]
            table = pd.DataFrame([{"class": name, **of} for name, of in found.of_classes.items()])
            file = RunFolder(Path(trainer.default_root_dir)).class_figures(evaluated)
            write_text(file, table.to_csv(index=False))


def _on_cpu(found: dict[str, Tensor]) -> Prediction:
    """Return a prediction of a network, with masks [N H W] of 0 and 1 for [N 1 H W] probabilities."""
    prediction: Prediction = {
        "boxes": found["boxes"].float().cpu(),
        "labels": found["labels"].cpu(),
        "scores": found["scores"].float().cpu(),
    }
    if "masks" in found:
        masks = found["masks"]
        masks = masks if masks.dtype == torch.bool else masks >= HALF
        prediction["masks"] = masks.reshape(-1, *masks.shape[-2:]).byte().cpu()
    return prediction
