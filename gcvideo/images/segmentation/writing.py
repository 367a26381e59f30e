"""What is predicted of pictures, as files: class indices, overlays, and a table."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import UInt8
from torch import Tensor

from gcvideo.atomic import write_text
from gcvideo.cells import quoted
from gcvideo.images.pictures import read_picture
from gcvideo.images.segmentation.batch import SegmentedBatch
from gcvideo.images.segmentation.drawing import save_classes, save_overlay
from gcvideo.images.writing import PredictionWriter, Row


class MaskWriter(PredictionWriter):
    """Writes masks/NAME.png and overlays/NAME.png, and predictions.csv with the shares of all classes.

    Args:
        folder: The folder.
        class_names: The K class names.
    """

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        super().__init__(folder)
        self.class_names = class_names

    def add(self, outputs: list[UInt8[Tensor, "H W"]], batch: SegmentedBatch) -> list[Row]:
        rows: list[Row] = []
        num_classes = len(self.class_names)
        for name, stem, classes in zip(batch.names, batch.stems, outputs, strict=True):
            files = {kind: self.folder / kind / f"{stem}.png" for kind in ("masks", "overlays")}
            save_classes(classes, files["masks"])
            save_overlay(np.asarray(read_picture(name)), classes, files["overlays"])
            shares = torch.bincount(classes.flatten(), minlength=num_classes) / classes.numel()
            row: Row = {"picture": name, "mask": f"masks/{stem}.png", "overlay": f"overlays/{stem}.png"}
            row |= {
                f"share of {known}": round(share, 6)
                for known, share in zip(self.class_names, shares.tolist(), strict=True)
            }
            rows.append(row)
        return rows

    def finish(self, rows: Sequence[Row]) -> Path:
        file = self.folder / "predictions.csv"
        frame = pd.DataFrame(list(rows)).sort_values("picture", ignore_index=True)
        write_text(file, frame.map(quoted).to_csv(index=False))
        return file
