"""What a video's classes are: exactly one of K, or any number of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics import MetricCollection

from gcvideo.evaluation import (
    MultiLabelTable,
    PredictionTable,
    multi_label_metrics,
    video_metrics,
)
from gcvideo.evaluation.multi_label import ClassFigures
from gcvideo.evaluation.predictions import BETWEEN
from gcvideo.training.losses import BinaryCrossEntropy, require_takes_targets

TaskName = Literal["single_label", "multi_label"]
Pooling = Literal["mean", "max"]


class Task(ABC):
    """How logits become probabilities of classes, and what follows from that for a run.

    Args:
        class_names: The K class names.
    """

    name: ClassVar[TaskName]
    loss: ClassVar[type[nn.Module]]
    """The loss where none is named."""
    figure: ClassVar[str]
    """The metric that chooses the best checkpoint, as map."""
    wrong_if_unreadable: ClassVar[tuple[str, ...]]
    """Metrics that are logged with unreadable videos counted as wrong, too."""

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = class_names

    @abstractmethod
    def of_views(self, logits: Float[Tensor, "B V K"]) -> Float[Tensor, "B V K"]:
        """Return the probabilities that each view gives the classes."""

    @abstractmethod
    def pooled(self, probabilities: Float[Tensor, "B V K"]) -> Float[Tensor, "B K"]:
        """Return the probabilities of videos from those of their views, or of windows along them."""

    def probabilities(self, logits: Float[Tensor, "B V K"]) -> Float[Tensor, "B K"]:
        """Return the probabilities of videos."""
        return self.pooled(self.of_views(logits))

    @abstractmethod
    def as_plain(self) -> dict[str, str]:
        """Return how probabilities come from logits, in words."""

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """Return the metrics of probabilities and labels."""

    @abstractmethod
    def table(self) -> PredictionTable:
        """Return an empty table of predictions."""

    def class_figures(self) -> ClassFigures | None:
        """Return what is computed of every class in a validation or a test, if anything is."""
        return None

    @abstractmethod
    def require_loss(self, loss: nn.Module, *, blended: bool) -> None:
        """Raise ValueError if a loss does not take the targets that clips have here, blended or not."""


class SingleLabel(Task):
    """A video has one class: softmax, then the mean over views (Wang et al., arXiv:1711.07971); top-1."""

    name = "single_label"
    loss = nn.CrossEntropyLoss
    figure = "top1"
    wrong_if_unreadable = ("top1", "top5")

    def of_views(self, logits: Float[Tensor, "B V K"]) -> Float[Tensor, "B V K"]:
        return logits.float().softmax(dim=-1)

    def pooled(self, probabilities: Float[Tensor, "B V K"]) -> Float[Tensor, "B K"]:
        return probabilities.mean(dim=1)

    def as_plain(self) -> dict[str, str]:
        return {"task": self.name, "of_views": "softmax", "over_views": "mean"}

    def metrics(self) -> MetricCollection:
        return video_metrics(len(self.class_names))

    def table(self) -> PredictionTable:
        return PredictionTable(self.class_names)

    def require_loss(self, loss: nn.Module, *, blended: bool) -> None:
        require_takes_targets(loss, num_classes=len(self.class_names), blended=blended)


class MultiLabel(Task):
    """A video has any number of classes: a sigmoid of each, then the mean or maximum over views; mAP.

    Probabilities are pooled and not logits, as of one class. Where views do not agree the maximum says that a
    class is there at some time, and the mean for how much of the video.

    Args:
        class_names: The K class names.
        over_views: mean, or max as PySlowFast has it of Charades, whose actions fill a part of the video.

    Raises:
        ValueError: A name has the sign that stands between several.
    """

    name = "multi_label"
    loss = BinaryCrossEntropy
    figure = "map"
    wrong_if_unreadable = ()

    def __init__(self, class_names: Sequence[str], *, over_views: Pooling = "mean") -> None:
        super().__init__(class_names)
        if unfit := next((name for name in class_names if BETWEEN in name), None):
            raise ValueError(
                f"class {unfit!r} has a {BETWEEN} in its name, which stands between the labels of a video; "
                "rename it in data.classes"
            )
        self.over_views: Pooling = over_views

    def of_views(self, logits: Float[Tensor, "B V K"]) -> Float[Tensor, "B V K"]:
        return logits.float().sigmoid()

    def pooled(self, probabilities: Float[Tensor, "B V K"]) -> Float[Tensor, "B K"]:
        return probabilities.mean(dim=1) if self.over_views == "mean" else probabilities.amax(dim=1)

    def as_plain(self) -> dict[str, str]:
        return {"task": self.name, "of_views": "sigmoid", "over_views": self.over_views}

    def metrics(self) -> MetricCollection:
        return multi_label_metrics(len(self.class_names))

    def table(self) -> PredictionTable:
        return MultiLabelTable(self.class_names)

    def class_figures(self) -> ClassFigures:
        return ClassFigures(len(self.class_names))

    def require_loss(self, loss: nn.Module, *, blended: bool) -> None:
        require_takes_targets(loss, num_classes=len(self.class_names), blended=blended, multi_hot=True)


TASKS: dict[TaskName, type[Task]] = {"single_label": SingleLabel, "multi_label": MultiLabel}


def make_task(name: TaskName, class_names: Sequence[str], *, over_views: Pooling) -> Task:
    """Return a task by name.

    Raises:
        ValueError: It is of one label, and the maximum over views is asked for.
    """
    if name == "multi_label":
        return MultiLabel(class_names, over_views=over_views)
    if over_views != "mean":
        raise ValueError(
            f"model.over_views is {over_views}, after which probabilities of single labels do not sum to "
            "one; leave it out, or give model.task multi_label"
        )
    return SingleLabel(class_names)


def task_of(hyperparameters: Mapping[str, Any]) -> TaskName:
    """Return the task that a checkpoint's hyperparameters are of; those of before there were two have one."""
    return hyperparameters.get("task", SingleLabel.name)


def require_same_task(trained: TaskName, asked: TaskName, checkpoint: object) -> None:
    """Raise ValueError where a checkpoint was trained for another task than is asked for."""
    if trained != asked:
        raise ValueError(
            f"model.task is {asked}, and {checkpoint} was trained for {trained}; give --model.task "
            f"{trained}, or start a new run from its weights: --model.weights.path"
        )


def require_same_labels(task: TaskName, *, multi_label: bool | None) -> None:
    """Raise ValueError where lists are read for another task; None is of a data module that says nothing."""
    if multi_label is not None and multi_label != (task == MultiLabel.name):
        raise ValueError(
            f"model.task is {task}, and data.multi_label {str(multi_label).lower()}; give one of them, which "
            "the other then follows"
        )
