"""What an evaluation finds: mean intersection over union, share of right pixels, loss."""

from collections.abc import Iterator, Sequence

import pandas as pd
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassJaccardIndex,
)

from gcvideo.images.segmentation.batch import IGNORED


class DenseFigures(nn.Module):
    """Figures of all pixels that count, of all pictures and ranks together.

    With n_ij the pixels of class i that are found to be j, IoU_k = n_kk / (sum_j n_kj + sum_j n_jk - n_kk),
    and miou is its mean over the classes that occur, in pictures or among predictions; pixel_accuracy is
    sum_k n_kk / sum_ij n_ij, and loss the mean cross-entropy of a pixel.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        settings = {"ignore_index": IGNORED, "validate_args": False}
        self.loss = MeanMetric()
        self.miou = MulticlassJaccardIndex(num_classes, **settings)
        self.pixel_accuracy = MulticlassAccuracy(num_classes, average="micro", **settings)

    def update(self, logits: Float[Tensor, "B K H W"], classes: Int64[Tensor, "B H W"]) -> None:
        """Count pictures of one size."""
        losses = F.cross_entropy(logits.float(), classes, ignore_index=IGNORED, reduction="none")
        counts = (classes != IGNORED).float()
        if counts.any():
            self.loss.update(losses, counts)
            found = logits.argmax(dim=1)
            self.miou.update(found, classes)
            self.pixel_accuracy.update(found, classes)

    def items(self) -> Iterator[tuple[str, Metric]]:
        """Yield the figures by name."""
        for name in ("loss", "miou", "pixel_accuracy"):
            yield name, getattr(self, name)


def confusion_of(num_classes: int) -> MulticlassConfusionMatrix:
    """Return what counts n_ij: pixels of class i that are found to be j, without those that are ignored."""
    return MulticlassConfusionMatrix(num_classes, ignore_index=IGNORED, validate_args=False)


def class_table(confusion: Int64[Tensor, "K K"], class_names: Sequence[str]) -> pd.DataFrame:
    """Return a row a class: its pixels, its intersection over union, and the share of them that is found.

    A class that neither occurs nor is found has no figures.
    """
    counts = confusion.cpu().double()
    right, pixels, found = counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)
    return pd.DataFrame(
        {
            "class": list(class_names),
            "pixels": pixels.long().numpy(),
            "found_pixels": found.long().numpy(),
            "iou": (right / (pixels + found - right)).numpy().round(6),
            "accuracy": (right / pixels).numpy().round(6),
        }
    )
