"""The validation and test steps of a video classifier."""

import logging
from pathlib import Path

from jaxtyping import Float
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torchmetrics import MetricCollection

from gcvideo.atomic import write_text
from gcvideo.cells import quoted
from gcvideo.clip import ViewBatch
from gcvideo.distributed import gather_rows, totals
from gcvideo.evaluation import view_logits
from gcvideo.evaluation.multi_label import class_table
from gcvideo.run_folder import Evaluated, RunFolder
from gcvideo.training.tasks import Task

log = logging.getLogger(__name__)


class EvaluatedNetwork(LightningModule):
    """A network, and the figures and predictions of videos from all of their views.

    Args:
        task: What the classes of a video are.
        views_per_forward: Views that pass the network together in evaluation; bounds memory.
    """

    network: nn.Module

    def __init__(self, task: Task, *, views_per_forward: int) -> None:
        super().__init__()
        if views_per_forward < 1:
            raise ValueError(f"views_per_forward is {views_per_forward}; expected at least 1")
        self.task = task
        self.class_names = list(task.class_names)
        self.views_per_forward = views_per_forward
        self.val_metrics = task.metrics().clone(prefix="val/")
        self.test_metrics = task.metrics().clone(prefix="test/")
        self.class_figures = task.class_figures()
        self.predictions = task.table()
        self.num_views: int | None = None
        self.num_read = self.num_unreadable = 0

    def forward(self, views: Float[Tensor, "B V 3 T H W"]) -> Float[Tensor, "B K"]:
        """Return class probabilities of videos, from all of their views."""
        logits = view_logits(self.network, views, views_per_forward=self.views_per_forward)
        return self.task.probabilities(logits)

    def validation_step(self, batch: ViewBatch, batch_idx: int) -> Float[Tensor, "B K"]:
        probabilities = self._evaluate(batch, self.val_metrics)
        self.num_read += len(batch.views)
        self.num_unreadable += len(batch.unreadable)
        return probabilities

    def test_step(self, batch: ViewBatch, batch_idx: int) -> None:
        probabilities = self._evaluate(batch, self.test_metrics)
        self.predictions.add(batch.video_id, probabilities, batch.target.tolist())
        self.predictions.add_unreadable(batch.unreadable)

    def on_validation_epoch_start(self) -> None:
        self.num_views = None
        self.num_read = self.num_unreadable = 0
        self._forget_classes()

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
        if self.trainer.state.fn == TrainerFn.VALIDATING:
            self._write_classes("val")

    def on_test_epoch_start(self) -> None:
        self.num_views = None
        self.predictions = self.task.table()
        self._forget_classes()

    def on_test_epoch_end(self) -> None:
        rows = gather_rows(self.predictions.rows)
        if self.trainer.is_global_zero and not self.trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue]
            file = RunFolder(Path(self.trainer.default_root_dir)).predictions
            self.predictions.write(file, rows)
            log.info("wrote %d rows to %s", len(rows), file)
        self._write_classes("test")
        self._log_with_unreadable(rows)

    def _log_with_unreadable(self, rows: list[dict[str, object]]) -> None:
        """Log, beside the figures of the videos that could be read, those that count the others as wrong."""
        num_unreadable = sum("unreadable" in row for row in rows)
        if num_unreadable == len(rows):
            raise ValueError(f"none of the {len(rows)} test videos could be read; see predictions.csv")
        share_read = 1 - num_unreadable / len(rows)
        figures = {"test/videos": float(len(rows)), "test/unreadable": float(num_unreadable)}
        for name in self.task.wrong_if_unreadable:
            figure = float(self.test_metrics[f"test/{name}"].compute())
            figures[f"test/{name}_unreadable_wrong"] = share_read * figure
        self.log_dict(figures, sync_dist=True)

    def _evaluate(self, batch: ViewBatch, metrics: MetricCollection) -> Float[Tensor, "B K"]:
        probabilities = batch.views.new_empty(0, len(self.class_names))
        if len(batch.views):
            self._require_same_views(batch)
            probabilities = self(batch.views)
            metrics.update(probabilities, batch.target)
            if self.class_figures is not None and self.trainer.state.fn != TrainerFn.FITTING:
                self.class_figures.update(probabilities, batch.target)
        for name, metric in metrics.items():  # of every process, since they are put together at the end
            self.log(
                name,
                metric,
                prog_bar=name.endswith(("/loss", f"/{self.task.figure}")),
                batch_size=len(probabilities),
            )
        return probabilities

    def _forget_classes(self) -> None:
        if self.class_figures is not None:
            self.class_figures.reset()

    def _write_classes(self, evaluated: Evaluated) -> None:
        """Write what is known of every class, of all ranks."""
        if self.class_figures is None:
            return
        figures = self.class_figures.compute()
        if self.trainer.is_global_zero and not self.trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue]
            file = RunFolder(Path(self.trainer.default_root_dir)).class_figures(evaluated)
            write_text(file, class_table(figures, self.class_names).map(quoted).to_csv(index=False))
            log.info("average precision and best threshold of every class: %s", file)

    def _require_same_views(self, batch: ViewBatch) -> None:
        num_views = batch.views.shape[1]
        data = getattr(self.trainer, "datamodule", None)
        if self.num_views not in (None, num_views) and not getattr(data, "views_vary", False):
            raise ValueError(
                f"{batch.video_id[0]} has {num_views} views, and the videos before it {self.num_views}; "
                "expected the same views of every video"
            )
        self.num_views = num_views
