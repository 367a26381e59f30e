"""The steps of a classifier of pictures."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics import MetricCollection

from gcvideo.distributed import gather_rows
from gcvideo.evaluation.metrics import video_metrics
from gcvideo.images.classification.batch import LabelledBatch
from gcvideo.images.classification.network import ClassificationNetwork
from gcvideo.images.classification.table import ClassWriter, rows_of, write_table
from gcvideo.images.module import ImageModule
from gcvideo.run_folder import RunFolder
from gcvideo.training.losses import require_takes_targets

log = logging.getLogger(__name__)


class ImageClassifier(ImageModule):
    """A classifier of pictures: cross-entropy, top-1 and top-5 of one view.

    Args:
        backbone: Gives features by the names c2 to c5.
        class_names: The K class names; from the command line they come with the data.
        loss: A class whose instance gives, for logits [B K] and labels [B], the mean over the pictures;
            label_smoothing is a setting of torch.nn.CrossEntropyLoss.
        channels_last: Keep activations in channels_last order, which GPUs compute faster in.
        settings: Those of every ImageModule.
    """

    figure = "top1"
    figures = ("loss", "top1", "top5", "mean_class")

    def __init__(
        self,
        backbone: nn.Module,
        class_names: list[str],
        *,
        loss: Callable[[], nn.Module] = nn.CrossEntropyLoss,
        channels_last: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(ClassificationNetwork(backbone, len(class_names)), class_names, **settings)
        self.loss = loss()
        require_takes_targets(self.loss, num_classes=len(class_names), blended=False)
        if channels_last:
            self.network.to(memory_format=torch.channels_last)
        metrics = video_metrics(len(class_names))
        self.val_metrics = metrics.clone(prefix="val/")
        self.test_metrics = metrics.clone(prefix="test/")
        self.rows: list[dict[str, object]] = []

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K"]:
        """Return class probabilities."""
        return self.network(images).float().softmax(dim=-1)

    def training_step(self, batch: LabelledBatch, batch_idx: int) -> Float[Tensor, ""]:
        loss = self.loss(self.network(batch.images), batch.labels)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch.labels))
        return loss

    def validation_step(self, batch: LabelledBatch, batch_idx: int) -> None:
        self._evaluate(batch, self.val_metrics)

    def test_step(self, batch: LabelledBatch, batch_idx: int) -> None:
        probabilities = self._evaluate(batch, self.test_metrics)
        self.rows += rows_of(batch, probabilities, self.class_names)

    def predict_step(self, batch: LabelledBatch, batch_idx: int) -> Float[Tensor, "B K"]:
        return self(batch.images)

    def on_test_epoch_start(self) -> None:
        self.rows = []

    def on_test_epoch_end(self) -> None:
        rows = gather_rows(self.rows)
        if self.trainer.is_global_zero and not self.trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue]
            file = RunFolder(Path(self.trainer.default_root_dir)).predictions
            write_table(rows, file)
            log.info("wrote %d rows to %s", len(rows), file)

    def writer(self, folder: Path) -> ClassWriter:
        return ClassWriter(folder, self.class_names)

    def _evaluate(self, batch: LabelledBatch, metrics: MetricCollection) -> Float[Tensor, "B K"]:
        probabilities = self(batch.images)
        metrics.update(probabilities, batch.labels)
        for name, metric in metrics.items():
            shown = name.endswith(("/loss", "/top1"))
            self.log(name, metric, prog_bar=shown, batch_size=len(probabilities))
        return probabilities
