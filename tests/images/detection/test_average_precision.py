"""The figures of torchmetrics beside those of pycocotools itself."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as run_lengths

from gcvideo.images.detection import CocoData
from gcvideo.images.detection.average_precision import CocoMetric
from gcvideo.images.detection.batch import Prediction
from gcvideo.images.detection.results import rows_of, write_results
from tests.images.detection.coco import figures, random_results
from tests.images.detection.parts import write_shapes


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in which shapes are large, medium and small, with crowds and without anything."""
    return write_shapes(tmp_path_factory.mktemp("shapes") / "data", num_train=1, num_val=24, size=200)


@pytest.mark.parametrize("seed", [0, 1])
def test_figures_are_those_of_pycocotools(root: Path, seed: int, tmp_path: Path) -> None:
    pictures = CocoData(root).pictures_of("val", training=False)
    found = random_results(root / "val.json", seed=seed)
    predictions = [
        _prediction([one for one in found if one["image_id"] == number]) for number in range(1, 25)
    ]
    metric = CocoMetric([str(label) for label in range(1, 7)])
    # In another order than that of the file, as ranks have it: many scores are equal.
    for index in np.random.default_rng(seed).permutation(24):
        item = pictures[int(index)]
        metric.update([item.image_id], [predictions[index]], [item.target])
    found_by_us = metric.compute().figures
    rows = [row for index in range(24) for row in rows_of(predictions[index], index + 1, range(1, 7))]
    write_results(rows, {kind: tmp_path / f"results.{kind}.json" for kind in ("bbox", "segm")})
    assert found_by_us == pytest.approx(figures(root / "val.json", tmp_path), abs=1e-6)
    assert 0.1 < found_by_us["box_ap"] < 0.9
    assert found_by_us["mask_ap_medium"] != found_by_us["mask_ap_small"]


def test_what_is_annotated_is_found_and_nothing_is_not(root: Path) -> None:
    pictures = CocoData(root).pictures_of("val", training=False)
    perfect, nothing = CocoMetric("abcdef"), CocoMetric("abcdef")
    for item in map(pictures.__getitem__, range(len(pictures))):
        whole = item.target["iscrowd"] == 0
        exact: Prediction = {
            "boxes": item.target["boxes"][whole].float(),
            "labels": item.target["labels"][whole],
            "scores": torch.ones(int(whole.sum())),
            "masks": item.target["masks"][whole],
        }
        none: Prediction = {name: value[:0] for name, value in exact.items()}
        perfect.update([item.image_id], [exact], [item.target])
        nothing.update([item.image_id], [none], [item.target])
    assert perfect.compute().figures["box_ap"] == pytest.approx(1.0)
    assert perfect.compute().figures["mask_ap"] == pytest.approx(1.0)
    assert nothing.compute().figures["mask_ap"] == 0
    assert set(perfect.compute().of_classes) == set("abcdef")


def _prediction(rows: list[dict]) -> Prediction:
    masks = [row["mask"] for row in rows]
    boxes = [run_lengths.toBbox(run_lengths.encode(np.asfortranarray(mask))) for mask in masks]
    corners = torch.tensor(np.array(boxes), dtype=torch.float32).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return {
        "boxes": corners + 1 / 3,
        "labels": torch.tensor([row["category_id"] for row in rows], dtype=torch.int64),
        "scores": torch.tensor([row["score"] for row in rows], dtype=torch.float32),
        "masks": torch.tensor(np.array(masks), dtype=torch.uint8).reshape(-1, 200, 200),
    }
