"""Metrics of the probabilities of videos that have any number of classes, or none."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import BinaryF1Score
from torchmetrics.functional.classification import binary_average_precision

from gcvideo.evaluation.metrics import LEAST_PROBABILITY, MeanOverVideos
from gcvideo.evaluation.thresholds import THRESHOLD, best_thresholds


class BinaryLogLoss(MeanOverVideos):
    """Mean over videos of -1/K sum_k [y_k log p_k + (1 - y_k) log(1 - p_k)]."""

    def of_videos(
        self, probabilities: Float[Tensor, "B K"], labels: Float[Tensor, "B K"]
    ) -> Float[Tensor, " B"]:
        of_what_is = torch.where(labels > 0, probabilities, 1 - probabilities)
        return -of_what_is.clamp_min(LEAST_PROBABILITY).log().mean(dim=1)


class SampleAveragePrecision(MeanOverVideos):
    """Mean over videos of the average precision of a video's own ranking of the classes.

    The mAP of Multi-Moments in Time (Monfort et al., arXiv:1911.00232), in MMAction2
    mmit_mean_average_precision. Of a video's labels k it is the mean of |{j: y_j, p_j >= p_k}| / |{j: p_j >=
    p_k}|. Videos without a label have none.
    """

    def of_videos(
        self, probabilities: Float[Tensor, "B K"], labels: Float[Tensor, "B K"]
    ) -> Float[Tensor, " n"]:
        labelled = labels.any(dim=1)
        p, y = probabilities[labelled], labels[labelled]
        before: Bool[Tensor, "n K K"] = p[:, None, :] >= p[:, :, None]  # j before k, or level with it
        precision = (before * y[:, None, :]).sum(dim=2) / before.sum(dim=2)
        return (precision * y).sum(dim=1) / y.sum(dim=1)


class AveragePrecisions(Metric):
    """Average precision of every class, over all videos: sum_n (R_n - R_(n-1)) P_n, by torchmetrics.

    P_n and R_n are precision and recall of the videos with the n highest probabilities, those that are equal
    taken together. It is nan for a class that no video has.
    """

    full_state_update = False

    probabilities: list[Tensor]
    labels: list[Tensor]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("probabilities", default=[], dist_reduce_fx="cat")
        self.add_state("labels", default=[], dist_reduce_fx="cat")

    def update(self, probabilities: Float[Tensor, "B K"], labels: Float[Tensor, "B K"]) -> None:
        self.probabilities.append(probabilities.float())
        self.labels.append(labels.float())

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Put together what all ranks have; of one without a video torchmetrics would not know the K."""
        if not self.probabilities:
            nothing = torch.empty(0, self.num_classes, device=self.device)
            self.update(nothing, nothing)
        super().sync(*args, **kwargs)

    def videos(self) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N K"]]:
        """Return probabilities and labels of all videos so far."""
        nothing = torch.empty(0, self.num_classes, device=self.device)
        p, y = (
            torch.cat([nothing, *([state] if isinstance(state, Tensor) else state)])
            for state in (self.probabilities, self.labels)
        )
        return p, y

    def compute(self) -> Float[Tensor, "..."]:
        return average_precisions(*self.videos())


class MeanAveragePrecision(AveragePrecisions):
    """Mean over classes of their average precision, of those classes that some video has.

    As PySlowFast and the evaluation of Charades do; the latter also ranks videos without any label behind all
    others, whatever their probabilities.
    """

    def compute(self) -> Float[Tensor, ""]:
        p, y = self.videos()
        return average_precisions(p, y)[y.any(dim=0)].mean()


class ClassFigures(AveragePrecisions):
    """Of every class: number of videos, average precision, the threshold of the best F1, and that F1."""

    def compute(self) -> Float[Tensor, "K 4"]:
        p, y = self.videos()
        thresholds, f1 = best_thresholds(p, y)
        columns = y.sum(dim=0).cpu(), average_precisions(p, y).cpu(), thresholds, f1
        return torch.stack(columns, dim=1)


def class_table(figures: Float[Tensor, "K 4"], class_names: Sequence[str]) -> pd.DataFrame:
    """Return them as a table, whose column threshold `Thresholds.read` reads; empty cells are unknown."""
    names = ["videos", "average_precision", "threshold", "f1"]
    table = pd.DataFrame(figures.tolist(), columns=pd.Index(names))
    table["videos"] = table["videos"].astype(int)
    table.insert(0, "class", [*class_names])
    return table.round({"average_precision": 6, "f1": 6})


def average_precisions(
    probabilities: Float[Tensor, "N K"], labels: Float[Tensor, "N K"]
) -> Float[Tensor, " K"]:
    """Return the average precision of every class; nan of one that no video has, or of nan."""
    found = probabilities.new_full((labels.shape[1],), torch.nan)
    known = labels.any(dim=0) & ~probabilities.isnan().any(dim=0)
    for k in known.nonzero().flatten().tolist():
        found[k] = binary_average_precision(probabilities[:, k], labels[:, k].long())
    return found


def multi_label_metrics(num_classes: int) -> MetricCollection:
    """Return loss, mAP over classes, mAP over videos, and F1 of all pairs of video and class at 0.5."""
    return MetricCollection(
        {
            "loss": BinaryLogLoss(),
            "map": MeanAveragePrecision(num_classes),
            "sample_map": SampleAveragePrecision(),
            "f1_micro": FlatF1(THRESHOLD),
        },
        compute_groups=False,
    )


class FlatF1(BinaryF1Score):
    """F1 = 2 TP / (2 TP + FP + FN) of all pairs of a video and a class: micro-averaged."""

    def update(self, preds: Float[Tensor, "B K"], target: Float[Tensor, "B K"]) -> None:
        super().update(preds.flatten(), target.flatten().long())
