"""Above which probability a class is said to be in a video."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.classification import binary_precision_recall_curve

from gcvideo.cells import unquoted

THRESHOLD = 0.5
"""Of every class, where nothing else is asked for."""


class Thresholds:
    """A threshold for every class: those whose probability is above theirs are said to be there.

    Args:
        of_class: The thresholds, in 0..1.
    """

    def __init__(self, of_class: Float[Tensor, " K"]) -> None:
        self.of_class = of_class

    @classmethod
    def even(cls, num_classes: int, threshold: float = THRESHOLD) -> "Thresholds":
        """Return one threshold for all classes.

        Raises:
            ValueError: It is not in 0..1.
        """
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold is {threshold:g}; expected 0..1")
        return cls(torch.full((num_classes,), float(threshold)))

    @classmethod
    def read(cls, file: Path, class_names: Sequence[str]) -> "Thresholds":
        """Read a table with the columns class and threshold, as a validation or a test writes it.

        Raises:
            ValueError: It is no such table, or lacks a class.
        """
        try:
            table = pd.read_csv(file, dtype={"class": str}).map(unquoted)
            known = dict(zip(table["class"], table["threshold"].astype(float), strict=True))
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"{file}: cannot be read as thresholds ({error}); expected a number in 0..1, or a CSV file "
                "with the columns class and threshold, as val_classes.csv of a run"
            ) from error
        missing = [name for name in class_names if name not in known]
        if missing:
            raise ValueError(
                f"{file}: has no threshold for {len(missing)} of {len(class_names)} classes: "
                f"{', '.join(missing[:5])}"
            )
        wrong = next((name for name in class_names if not 0 <= known[name] <= 1), None)
        if wrong is not None:
            raise ValueError(f"{file}: the threshold of {wrong} is {known[wrong]:g}; expected 0..1")
        return cls(torch.tensor([known[name] for name in class_names]))

    def above(self, probabilities: Float[Tensor, " K"]) -> list[int]:
        """Return the classes that are said to be there, the most probable first."""
        there = probabilities > self.of_class.to(probabilities.device)
        ranked = probabilities.argsort(descending=True, stable=True).tolist()
        return [k for k in ranked if there[k]]


def best_thresholds(
    probabilities: Float[Tensor, "N K"], labels: Float[Tensor, "N K"]
) -> tuple[Float[Tensor, " K"], Float[Tensor, " K"]]:
    """Return for every class the threshold of the best F1 on these videos, and that F1.

    It stands half-way between the least probable video that it lets pass and the next. Of a class that no
    video has it is THRESHOLD, and F1 nan.
    """
    thresholds = torch.full((labels.shape[1],), THRESHOLD)
    scores = torch.full((labels.shape[1],), torch.nan)
    for k in labels.any(dim=0).nonzero().flatten().tolist():
        p = probabilities[:, k].cpu()
        precision, recall, reached = binary_precision_recall_curve(p, labels[:, k].cpu().long())
        f1 = (2 * precision * recall / (precision + recall).clamp_min(1e-12))[: len(reached)]
        best = int(f1.argmax())
        below = p[p < reached[best]]
        thresholds[k] = (reached[best] + (below.max() if len(below) else 0.0)) / 2
        scores[k] = f1[best]
    return thresholds, scores
