"""Metrics of the probabilities of videos that have one class each.

States are replaced and not written to in place: a state that an evaluation in inference mode left behind
is read-only in a later fit.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

Labels = Int64[Tensor, " B"] | Float[Tensor, "B K"]
"""The class of every video, or 1 for each class that is there and 0 for the others."""

LEAST_PROBABILITY = 1e-12
"""What stands for 0 in a logarithm."""


class MeanOverVideos(Metric):
    """Mean over videos of a number that each has of its own.

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

    def of_videos(self, probabilities: Float[Tensor, "B K"], labels: Labels) -> Float[Tensor, " n"]:
        """Return the numbers of those videos that have one."""
        raise NotImplementedError

    def update(self, probabilities: Float[Tensor, "B K"], labels: Labels) -> None:
        numbers = self.of_videos(probabilities, labels)
        term = numbers.sum() - self.excess
        total = self.total + term
        self.excess = (total - self.total) - term
        self.total = total
        self.num_videos = self.num_videos + len(numbers)

    def compute(self) -> Float[Tensor, ""]:
        return (self.total - self.excess) / self.num_videos


class NegativeLogLikelihood(MeanOverVideos):
    """Mean over videos of -log p, where p is the probability of the video's class."""

    def of_videos(
        self, probabilities: Float[Tensor, "B K"], labels: Int64[Tensor, " B"]
    ) -> Float[Tensor, " B"]:
        return -probabilities.gather(1, labels[:, None])[:, 0].clamp_min(LEAST_PROBABILITY).log()


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
