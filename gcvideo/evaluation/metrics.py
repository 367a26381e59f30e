"""Metrics of video probabilities.

States are replaced and not written to in place: a state that an evaluation in inference mode left behind
is read-only in a later fit.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy


class NegativeLogLikelihood(Metric):
    """Mean over videos of -log p, where p is the probability of the video's class.

    A metric, since the mean of Lightning's `log(sync_dist=True)` is wrong where processes have unequally many
    videos. The sum is compensated (Kahan, 1965, doi:10.1145/363707.363723), so that it does not depend on how
    many processes share it.
    """

    full_state_update = False

    total: Tensor
    excess: Tensor
    """What rounding has added to the total."""
    num_videos: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("excess", default=torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("num_videos", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, probabilities: Float[Tensor, "B K"], labels: Int64[Tensor, " B"]) -> None:
        of_label = probabilities.gather(1, labels[:, None]).clamp_min(1e-12)
        term = -of_label.log().sum() - self.excess
        total = self.total + term
        self.excess = (total - self.total) - term
        self.total = total
        self.num_videos = self.num_videos + len(labels)

    def compute(self) -> Float[Tensor, ""]:
        return (self.total - self.excess) / self.num_videos


class MeanClassAccuracy(Metric):
    """Mean over classes of the share of the class's videos that are recognised.

    Only classes with a video count. torchmetrics' macro average counts a class without one as 0 as soon as
    some video is taken for it.
    """

    full_state_update = False

    num_correct: Tensor
    num_videos: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        zeros = torch.zeros(num_classes, dtype=torch.long)
        self.add_state("num_correct", default=zeros, dist_reduce_fx="sum")
        self.add_state("num_videos", default=zeros.clone(), dist_reduce_fx="sum")

    def update(self, probabilities: Float[Tensor, "B K"], labels: Int64[Tensor, " B"]) -> None:
        num_classes = len(self.num_videos)
        recognised = labels[probabilities.argmax(dim=1) == labels]
        self.num_correct = self.num_correct + torch.bincount(recognised, minlength=num_classes)
        self.num_videos = self.num_videos + torch.bincount(labels, minlength=num_classes)

    def compute(self) -> Float[Tensor, ""]:
        present = self.num_videos > 0
        return (self.num_correct[present] / self.num_videos[present]).mean()


def video_metrics(num_classes: int) -> MetricCollection:
    """Return loss, top-1, top-5 (top-K where K < 5) and the mean over classes of the class's own top-1."""
    return MetricCollection(
        {
            "loss": NegativeLogLikelihood(),
            "top1": MulticlassAccuracy(num_classes, average="micro"),
            "top5": MulticlassAccuracy(num_classes, average="micro", top_k=min(5, num_classes)),
            "mean_class": MeanClassAccuracy(num_classes),
        },
        # Groups are guessed from states that are equal after one batch, which may be chance, and stay merged.
        compute_groups=False,
    )
