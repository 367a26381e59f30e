"""What pycocotools itself says of annotations and results."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

FIGURES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


def evaluated(annotations: Path, results: Any, kind: str) -> COCOeval:
    """An evaluation of results, a file or a list, of bbox or segm."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        found = COCOeval(truth, truth.loadRes(str(results) if isinstance(results, Path) else results), kind)
        found.evaluate()
        found.accumulate()
        found.summarize()
    return found


def figures(annotations: Path, folder: Path) -> dict[str, float]:
    """By our names the figures of the results in a folder."""
    found = {}
    for kind, ours in {"bbox": "box", "segm": "mask"}.items():
        stats = evaluated(annotations, folder / f"results.{kind}.json", kind).stats
        found |= {f"{ours}_{name}": float(stats[place]) for place, name in enumerate(FIGURES)}
        found[f"{ours}_ar100"] = float(stats[8])
    return found


def example(folder: Path, **changes: Any) -> Path:
    """A small file of two pictures, with changes."""
    polygon = [[10.0, 10.0, 30.0, 10.0, 30.0, 20.0]]
    box = {"bbox": [10, 10, 20, 10], "area": 100.0, "iscrowd": 0, "segmentation": polygon}
    found: dict[str, Any] = {
        "images": [
            {"id": 7, "file_name": "a.png", "height": 40, "width": 60},
            {"id": 3, "file_name": "b.png", "height": 50, "width": 30},
        ],
        "categories": [{"id": 90, "name": "zebra"}, {"id": 2, "name": "ant"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 90, **box},
            {"id": 2, "image_id": 7, "category_id": 2, **box},
        ],
    } | changes
    file = folder / "train.json"
    file.write_text(json.dumps(found))
    return file


def random_results(annotations: Path, *, seed: int) -> list[dict[str, Any]]:
    """Detections near what is annotated, some of them of another class, with few different scores."""
    rng = np.random.default_rng(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
    found = []
    for one in truth.dataset["annotations"]:
        mask = truth.annToMask(one)
        for _ in range(int(rng.integers(0, 4))):
            moved = np.roll(mask, rng.integers(-3, 4, 2), (0, 1))
            category = one["category_id"] if rng.random() < 0.8 else int(rng.choice(truth.getCatIds()))
            found.append((one["image_id"], category, moved, int(rng.integers(1, 5)) / 8))
    return [
        {"image_id": image, "category_id": category, "mask": mask, "score": score}
        for image, category, mask, score in found
        if mask.any()
    ]
