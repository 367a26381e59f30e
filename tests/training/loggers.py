"""A logger of one's own, and a classifier that gives it nothing to draw."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger

from gcvideo.training import VideoClassifier


class Notebook(Logger):
    """Writes down all that it is told."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    @property
    def name(self) -> str:
        return "notebook"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._note(step=step, metrics=metrics)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        self._note(settings=params)

    @rank_zero_only
    def log_image(self, key: str, images: list[np.ndarray], step: int) -> None:
        (picture,) = images
        np.save(self.folder / f"{key.rpartition('/')[2]}-{step}.npy", picture)

    def _note(self, **facts: Any) -> None:
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "notes.jsonl").open("a") as file:
            file.write(json.dumps(facts, default=str) + "\n")


class Silent(VideoClassifier):
    """Keeps what it finds of validation videos to itself."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().validation_step(batch, batch_idx)
