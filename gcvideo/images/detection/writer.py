"""What `gcvideo image predict` leaves behind of a detector."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from gcvideo.atomic import write_text
from gcvideo.images.detection.batch import DetectionBatch, Prediction
from gcvideo.images.detection.drawing import drawn, save_picture
from gcvideo.images.detection.results import rows_of, write_results
from gcvideo.images.writing import PredictionWriter, Row


class DetectionWriter(PredictionWriter):
    """Writes drawn pictures, results of boxes and masks, and pictures.json, which says what the ids mean.

    pictures.json is a COCO file without annotations: results of pictures that no data set lists can be loaded
    beside it.

    Args:
        folder: The folder.
        class_names: The K classes.
        least_score: The score from which a detection is drawn; results have all.
    """

    def __init__(self, folder: Path, class_names: Sequence[str], *, least_score: float) -> None:
        super().__init__(folder)
        self.class_names = class_names
        self.least_score = least_score
        self.category_ids = list(range(1, 1 + len(class_names)))
        self.common = Path()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find out by which ids results name classes, now that a checkpoint has been read."""
        data: Any = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        of_split, of_training = data.predicted_of, pl_module.category_ids
        if of_split is not None:
            self.category_ids = data.category_ids(of_split)
        elif of_training is not None:
            self.category_ids = list(of_training)  # pyright: ignore[reportArgumentType]
        self.common = Path(os.path.commonpath([file.absolute().parent for file in data.predicted]))

    def add(self, outputs: Sequence[Prediction], batch: DetectionBatch) -> list[Row]:
        rows: list[Row] = []
        for prediction, image, name, image_id in zip(
            outputs, batch.images, batch.names, batch.image_ids, strict=True
        ):
            pixels = (image.detach().cpu() * 255).round().byte()
            picture = drawn(pixels, prediction, self.class_names, least_score=self.least_score)
            save_picture(picture, self.folder / "drawn" / Path(name).absolute().relative_to(self.common))
            height, width = image.shape[1:]
            known: Row = {"id": image_id, "file_name": name, "height": height, "width": width}
            rows.append({"picture": known, "results": rows_of(prediction, image_id, self.category_ids)})
        return rows

    def finish(self, rows: Sequence[Row]) -> Path:
        found: list[Any] = sorted(rows, key=lambda row: row["picture"]["id"])  # pyright: ignore[reportIndexIssue]
        categories = [
            {"id": number, "name": name}
            for number, name in zip(self.category_ids, self.class_names, strict=True)
        ]
        listing = {
            "info": {"description": "pictures of results.bbox.json and results.segm.json"},
            "images": [row["picture"] for row in found],
            "annotations": [],
            "categories": categories,
        }
        write_text(self.folder / "pictures.json", json.dumps(listing, indent=1) + "\n")
        files = {kind: self.folder / f"results.{kind}.json" for kind in ("bbox", "segm")}
        write_results((result for row in found for result in row["results"]), files)
        return files["bbox"]
