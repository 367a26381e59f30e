"""Predictions along a video: what is seen in every window, and from when to when."""

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from gcvideo.evaluation import Thresholds
from gcvideo.evaluation.predictions import BETWEEN


class Ranked(NamedTuple):
    """A class and its probability."""

    name: str
    probability: float

    def as_json(self) -> dict[str, Any]:
        """Return the class as JSON holds it."""
        return {"class": self.name, "probability": round(self.probability, 6)}


def likeliest(
    probabilities: Float[Tensor, " K"], class_names: Sequence[str], *, num_classes: int = 5
) -> list[Ranked]:
    """Return the most probable classes, the first first."""
    top = probabilities.topk(min(num_classes, len(class_names)))
    return [
        Ranked(class_names[int(label)], probability)
        for label, probability in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]


def told(
    probabilities: Float[Tensor, " K"], class_names: Sequence[str], thresholds: Thresholds
) -> list[Ranked]:
    """Return the classes above their thresholds, the most probable first."""
    return [Ranked(class_names[k], float(probabilities[k])) for k in thresholds.above(probabilities)]


class WindowPrediction(NamedTuple):
    """The classes of one window of a video."""

    start_seconds: float
    end_seconds: float
    top: list[Ranked]
    told: list[Ranked] | None = None
    """The classes above their thresholds, where a video may have several."""


class Segment(NamedTuple):
    """A stretch of a video over which one class stays the likeliest, or above its threshold."""

    start_seconds: float
    end_seconds: float
    name: str
    probability: float
    """Mean over the segment's windows."""

    def as_json(self) -> dict[str, Any]:
        """Return the segment as JSON holds it."""
        span = {"start_seconds": round(self.start_seconds, 3), "end_seconds": round(self.end_seconds, 3)}
        return {**span, "class": self.name, "probability": round(self.probability, 6)}


class Timeline:
    """The windows of a video, each speaking for the time that is nearer to its middle than to another's.

    Args:
        windows: The windows, by rising start.
        duration_seconds: Length of the video, or of the segment of it.
        start_seconds: Where that begins in the video.
    """

    def __init__(
        self, windows: Sequence[WindowPrediction], *, duration_seconds: float, start_seconds: float = 0.0
    ) -> None:
        self.windows = windows
        middles = [(window.start_seconds + window.end_seconds) / 2 for window in windows]
        between = [(earlier + later) / 2 for earlier, later in pairwise(middles)]
        self.boundaries = [start_seconds, *between, start_seconds + duration_seconds]
        """Window i speaks for boundaries[i] .. boundaries[i + 1], in seconds."""

    def segments(self) -> list[Segment]:
        """Join neighbouring windows that have the same likeliest class."""
        spoken = zip(self.windows, pairwise(self.boundaries), strict=True)
        joined = []
        for name, run in groupby(spoken, key=lambda one: one[0].top[0].name):
            windows, spans = zip(*run, strict=True)
            probability = sum(window.top[0].probability for window in windows) / len(windows)
            joined.append(Segment(spans[0][0], spans[-1][1], name, probability))
        return joined

    def shown_at(self, seconds: float) -> list[Ranked]:
        """Return the likeliest classes at a moment."""
        return self.window_at(seconds).top

    def rows_of(self, names: Sequence[str]) -> dict[str, int]:
        """Return in which row of a picture each class stands: in one, where only one is seen at a time."""
        return dict.fromkeys(names, 0)

    def window_at(self, seconds: float) -> WindowPrediction:
        """Return the window that speaks for a moment of the video."""
        for window, end in zip(self.windows, self.boundaries[1:], strict=True):
            if seconds < end:
                return window
        return self.windows[-1]

    def rows(self, video: str) -> list[dict[str, object]]:
        """Return one row a window: when, and the likeliest classes with their probabilities."""
        return [
            {
                "video": video,
                "start_seconds": round(window.start_seconds, 3),
                "end_seconds": round(window.end_seconds, 3),
                **self._told(window),
                **{
                    key: value
                    for rank, (name, probability) in enumerate(window.top, start=1)
                    for key, value in (
                        (f"top{rank}", name),
                        (f"top{rank}_probability", round(probability, 6)),
                    )
                },
            }
            for window in self.windows
        ]

    @staticmethod
    def _told(window: WindowPrediction) -> dict[str, object]:
        """Return what a table says of a window beside its likeliest classes."""
        return {}


class MultiLabelTimeline(Timeline):
    """The windows of a video in which several classes may be seen at once, each from when to when."""

    def segments(self) -> list[Segment]:
        """Join neighbouring windows that have a class in common, class by class; the earliest first."""
        found: list[Segment] = []
        for name in dict.fromkeys(one.name for window in self.windows for one in window.told or ()):
            of_class = [dict(window.told or ()).get(name) for window in self.windows]
            spoken = zip(of_class, pairwise(self.boundaries), strict=True)
            for is_there, run in groupby(spoken, key=lambda one: one[0] is not None):
                if is_there:
                    known, spans = zip(*run, strict=True)
                    found.append(Segment(spans[0][0], spans[-1][1], name, sum(known) / len(known)))
        return sorted(found, key=lambda segment: segment[:2])

    def shown_at(self, seconds: float) -> list[Ranked]:
        return self.window_at(seconds).told or []

    def rows_of(self, names: Sequence[str]) -> dict[str, int]:
        return {name: len(names) - 1 - place for place, name in enumerate(names)}

    @staticmethod
    def _told(window: WindowPrediction) -> dict[str, object]:
        return {"prediction": BETWEEN.join(one.name for one in window.told or ())}
