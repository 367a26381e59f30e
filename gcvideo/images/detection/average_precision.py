"""COCO's average precision of boxes and masks, of all ranks together."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torchmetrics.detection import MeanAveragePrecision

from gcvideo.distributed import gather_rows, of_every_rank
from gcvideo.images.detection.batch import Prediction, Target

KINDS = {"bbox": "box", "segm": "mask"}
FIGURES = {
    "map": "ap",
    "map_50": "ap50",
    "map_75": "ap75",
    "map_small": "ap_small",
    "map_medium": "ap_medium",
    "map_large": "ap_large",
    "mar_100": "ar100",
}
"""Names of torchmetrics, and ours."""
STATES = ("detection_labels", "detection_scores", "groundtruth_labels", "groundtruth_crowds")
STATES += ("groundtruth_area", "detection_box", "groundtruth_box", "detection_mask", "groundtruth_mask")
ALL_AREAS, MOST_DETECTIONS = 0, -1
"""Places in the table of precisions."""


class AveragePrecision(NamedTuple):
    """Figures by name, as box_ap and mask_ap50; -1 where nothing of its kind is annotated, as COCO has it."""

    figures: dict[str, float]
    of_classes: dict[str, dict[str, float]]
    """AP of boxes and masks of every class, by name and figure."""


class CocoMetric:
    """AP over IoU 0.50, 0.55, ... 0.95 of boxes and masks, at most 100 detections a picture (COCO's).

    torchmetrics computes it with pycocotools on rank 0. Pictures of all ranks come together in the order of
    their ids, as pycocotools has them: which of two equal scores comes first changes the figures. (The
    metric's own gathering would lose pictures of ranks that have more of them than the first.)

    Args:
        class_names: The K classes.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = list(class_names)
        self.reset()

    def reset(self) -> None:
        """Forget all pictures."""
        self.metric: MeanAveragePrecision | None = None
        self.image_ids: list[int] = []

    def update(
        self, image_ids: Sequence[int], predictions: Sequence[Prediction], targets: Sequence[Target]
    ) -> None:
        """Add pictures."""
        if self.metric is None:
            kinds = ("bbox", "segm") if "masks" in predictions[0] else ("bbox",)
            self.metric = MeanAveragePrecision(
                iou_type=kinds, backend="pycocotools", extended_summary=True, sync_on_compute=False
            )
            self.metric.warn_on_many_detections = False
        self.metric.update(
            [_in_double(prediction) for prediction in predictions],
            [{name: value.cpu() for name, value in target.items()} for target in targets],
        )
        self.image_ids += image_ids

    def compute(self) -> AveragePrecision:
        """Return the figures of all pictures of all ranks, on every rank."""
        assert self.metric is not None, "no picture was added"
        states = {name: getattr(self.metric, name) for name in STATES if getattr(self.metric, name)}
        rows: list[dict[str, Any]] = [
            {"image_id": number, **{name: state[place] for name, state in states.items()}}
            for place, number in enumerate(self.image_ids)
        ]
        rows = sorted(gather_rows(rows), key=lambda row: row["image_id"])
        found = None
        if not dist.is_initialized() or dist.get_rank() == 0:
            for name in states:
                setattr(self.metric, name, [row[name] for row in rows])
            found = self._figures(self.metric.compute())
        found = of_every_rank(found)[0]
        assert found is not None
        return found

    def _figures(self, computed: dict[str, Any]) -> AveragePrecision:
        several = "segm_map" in computed
        figures: dict[str, float] = {}
        of_classes: dict[str, dict[str, float]] = {name: {} for name in self.class_names}
        labels = computed["classes"].reshape(-1).tolist()
        for kind, ours in KINDS.items() if several else [("bbox", "box")]:
            prefix = f"{kind}_" if several else ""
            figures |= {f"{ours}_{name}": float(computed[f"{prefix}{key}"]) for key, name in FIGURES.items()}
            precision = computed[f"{prefix}precision"][..., ALL_AREAS, MOST_DETECTIONS]  # [T R K]
            for place, label in enumerate(labels):
                known = precision[:, :, place][precision[:, :, place] > -1]
                of_classes[self.class_names[label - 1]][f"{ours}_ap"] = (
                    float(known.mean()) if len(known) else -1.0
                )
        return AveragePrecision(figures, of_classes)


def _in_double(prediction: Prediction) -> Prediction:
    """Return a prediction whose boxes become [x, y, width, height] as results have them, to the last bit."""
    return {**prediction, "boxes": prediction["boxes"].to(torch.float64)}
