"""Detections as COCO's results (cocodataset.org/#format-results), which pycocotools' loadRes reads."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as run_lengths

from gcvideo.atomic import write_text
from gcvideo.images.detection.batch import Prediction
from gcvideo.images.writing import Row


def rows_of(prediction: Prediction, image_id: int, category_ids: Sequence[int]) -> list[Row]:
    """Return a row a detection of a picture: category, box [x, y, width, height], score and run lengths.

    Args:
        prediction: The detections.
        image_id: The picture.
        category_ids: The id of every class.
    """
    rows: list[Row] = []
    masks = prediction.get("masks")
    for place, (left, top, right, bottom) in enumerate(prediction["boxes"].tolist()):
        row: Row = {
            "image_id": image_id,
            "category_id": category_ids[int(prediction["labels"][place]) - 1],
            "bbox": [left, top, right - left, bottom - top],
            "score": float(prediction["scores"][place]),
        }
        if masks is not None:
            encoded: Any = run_lengths.encode(np.asfortranarray(masks[place].numpy()))
            row["segmentation"] = {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}
        rows.append(row)
    return rows


def write_results(rows: Iterable[Row], files: dict[str, Path]) -> None:
    """Write rows, in the order of their pictures, as results of boxes and of masks.

    Args:
        rows: Those of all pictures.
        files: Where to write, by kind: bbox and, unless there are no masks, segm.
    """
    named: Any = rows
    ordered = sorted(named, key=lambda row: row["image_id"])
    shared = ("image_id", "category_id", "score")
    for kind, own in {"bbox": "bbox", "segm": "segmentation"}.items():
        found = [{name: row[name] for name in (*shared, own)} for row in ordered if own in row]
        if kind == "bbox" or found:
            write_text(files[kind], json.dumps(found) + "\n")
