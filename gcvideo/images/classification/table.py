"""The table of predictions: a row a picture, with its likeliest classes."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from gcvideo.atomic import write_text
from gcvideo.cells import quoted
from gcvideo.images.classification.batch import UNKNOWN, LabelledBatch
from gcvideo.images.writing import PredictionWriter, Row


def rows_of(
    batch: LabelledBatch, probabilities: Float[Tensor, "B K"], class_names: Sequence[str]
) -> list[Row]:
    """Return a row a picture: its label, if it has one, and its five likeliest classes."""
    top = probabilities.cpu().topk(min(5, len(class_names)))
    rows: list[Row] = []
    for name, label, values, classes in zip(
        batch.names, batch.labels.tolist(), top.values.tolist(), top.indices.tolist(), strict=True
    ):
        row: Row = {"picture": name}
        if label != UNKNOWN:
            row["label"] = class_names[label]
        row |= {"prediction": class_names[classes[0]], "probability": round(values[0], 6)}
        for rank, (k, value) in enumerate(zip(classes, values, strict=True), start=1):
            row |= {f"top{rank}": class_names[k], f"top{rank}_probability": round(value, 6)}
        rows.append(row)
    return rows


def write_table(rows: Sequence[Row], file: Path) -> None:
    """Write rows as CSV, sorted by picture; replaces an older file whole."""
    frame = pd.DataFrame(list(rows)).sort_values("picture", ignore_index=True)
    write_text(file, frame.map(quoted).to_csv(index=False))


class ClassWriter(PredictionWriter):
    """Writes the classes of pictures into predictions.csv.

    Args:
        folder: The folder.
        class_names: The K class names.
    """

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        super().__init__(folder)
        self.class_names = class_names

    def add(self, outputs: Float[Tensor, "B K"], batch: LabelledBatch) -> list[Row]:
        return rows_of(batch, outputs, self.class_names)

    def finish(self, rows: Sequence[Row]) -> Path:
        file = self.folder / "predictions.csv"
        write_table(rows, file)
        return file
