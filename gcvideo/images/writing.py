"""Predictions on their way into files."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from gcvideo.distributed import gather_rows

Row = dict[str, object]


class PredictionWriter(Callback):
    """Writes what a module predicts into a folder: files of single pictures at once, a table at the end.

    Args:
        folder: The folder, which is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[Row] = []

    @abstractmethod
    def add(self, outputs: Any, batch: Any) -> Sequence[Row]:
        """Write the files of a batch's pictures, if they have any, and return their rows of the table.

        Args:
            outputs: What predict_step has returned.
            batch: What it was given.
        """

    @abstractmethod
    def finish(self, rows: Sequence[Row]) -> Path:
        """Write the table of all pictures, of all ranks, and return its file; called on rank 0 alone."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.rows += self.add(outputs, batch)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        rows = gather_rows(self.rows)
        if trainer.is_global_zero:
            self.written = self.finish(rows)
