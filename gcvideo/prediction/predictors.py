"""A trained classifier on videos that no list names: whole, or along their time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from gcvideo.clip import VideoRecord
from gcvideo.data.datamodule import VideoDataModule
from gcvideo.data.decoding import DecodeError
from gcvideo.data.on_device import OnDevice
from gcvideo.data.views import EvaluationViews
from gcvideo.evaluation import Thresholds
from gcvideo.prediction.reading import UnreadableVideo, read_views
from gcvideo.prediction.timeline import (
    MultiLabelTimeline,
    Ranked,
    Timeline,
    WindowPrediction,
    likeliest,
    told,
)
from gcvideo.prediction.windows import SlidingWindows
from gcvideo.training import VideoClassifier


class Prediction(NamedTuple):
    """What a network sees in one video."""

    video: VideoRecord
    probabilities: Float[Tensor, " K"]
    top: list[Ranked]
    timeline: Timeline | None
    told: list[Ranked] | None = None
    """The classes above their thresholds, where a video may have several."""

    @property
    def shown(self) -> list[Ranked]:
        """The classes that are shown of the video: all that it has, or the likeliest of which it has one."""
        return self.top if self.told is None else self.told

    def shown_at(self, seconds: float) -> list[Ranked]:
        """Return the classes that are shown at a moment; without a timeline those of the video."""
        return self.shown if self.timeline is None else self.timeline.shown_at(seconds)

    def as_json(self) -> dict[str, Any]:
        """Return the prediction as JSON holds it."""
        said: dict[str, Any] = {"video": self.video.video_id}
        if self.told is not None:
            said["classes"] = [one.as_json() for one in self.told]
        said["top"] = [one.as_json() for one in self.top]
        if self.timeline is not None:
            said["segments"] = [segment.as_json() for segment in self.timeline.segments()]
        return said


class VideoPredictor:
    """The classes of whole videos, over views spread uniformly.

    Args:
        model: The classifier, in evaluation mode on its device.
        data: What tells a video's clips and their normalisation.
        views: The views of a video.
        num_workers: Processes that read videos ahead.
        thresholds: Above which a class is there, where a video may have several.
    """

    def __init__(
        self,
        model: VideoClassifier,
        data: VideoDataModule,
        views: EvaluationViews,
        *,
        num_workers: int,
        thresholds: Thresholds | None = None,
    ) -> None:
        self.model = model
        self.data = data
        self.views = views
        self.num_workers = num_workers
        self.thresholds = thresholds
        self.on_device = OnDevice(data, model.device)

    def __call__(self, videos: Sequence[VideoRecord]) -> Iterator[Prediction | UnreadableVideo]:
        """Yield every video's prediction, or why there is none, in the order given."""
        for video in read_views(videos, self.data, self.views, num_workers=self.num_workers):
            if isinstance(video, UnreadableVideo):
                yield video
                continue
            probabilities = classify(self.model, self.on_device, video.frames)[0]
            yield Prediction(
                video.video,
                probabilities,
                likeliest(probabilities, self.model.class_names),
                None,
                told_of(probabilities, self.model, self.thresholds),
            )


class TimelinePredictor:
    """The classes along videos, one clip after the other; a video's own are pooled over its windows.

    Args:
        model: The classifier, in evaluation mode on its device.
        data: What tells a video's clips and their normalisation.
        views: Crops of every window; their number of clips has no meaning here.
        hop_seconds: From the start of one window to the next; by default half a window.
        thresholds: Above which a class is there, where a video may have several.
    """

    def __init__(
        self,
        model: VideoClassifier,
        data: VideoDataModule,
        views: EvaluationViews,
        *,
        hop_seconds: float | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        self.model = model
        self.thresholds = thresholds
        self.clip, self.open_any = data.clip, data.open_any
        self.crops = views.crops()
        self.hop_seconds = hop_seconds
        self.on_device = OnDevice(data, model.device)
        self.report: Callable[[VideoRecord, int, int], None] = lambda video, done, of: None
        """Told before a video's first window, and from time to time, how many of them are classified."""

    def __call__(self, videos: Sequence[VideoRecord]) -> Iterator[Prediction | UnreadableVideo]:
        """Yield every video's prediction, or why there is none, in the order given."""
        for video in videos:
            try:
                yield self.predict(video)
            except DecodeError as error:
                yield UnreadableVideo(video, str(error).removeprefix(f"{video.path}: "))

    def predict(self, video: VideoRecord) -> Prediction:
        """Return the prediction of one video; raise DecodeError if it cannot be read."""
        sliding = SlidingWindows(
            video, clip=self.clip, crops=self.crops, hop_seconds=self.hop_seconds, reader=self.open_any
        )
        windows, parts = [], []
        self.report(video, 0, len(sliding.starts))
        for group in sliding:
            probabilities = classify(self.model, self.on_device, group.views)
            parts.append(probabilities)
            windows += [
                WindowPrediction(
                    *span,
                    likeliest(one, self.model.class_names),
                    told_of(one, self.model, self.thresholds),
                )
                for span, one in zip(group.spans, probabilities, strict=True)
            ]
            self.report(video, len(windows), len(sliding.starts))
        pooled = self.model.task.pooled(torch.cat(parts)[None])[0]
        kind = Timeline if self.thresholds is None else MultiLabelTimeline
        timeline = kind(
            windows, duration_seconds=sliding.duration_seconds, start_seconds=sliding.start_seconds
        )
        return Prediction(
            video,
            pooled,
            likeliest(pooled, self.model.class_names),
            timeline,
            told_of(pooled, self.model, self.thresholds),
        )


def told_of(
    probabilities: Float[Tensor, " K"], model: VideoClassifier, thresholds: Thresholds | None
) -> list[Ranked] | None:
    """Return the classes above their thresholds; None where there are none, since a video has one class."""
    return None if thresholds is None else told(probabilities, model.class_names, thresholds)


@torch.inference_mode()
def classify(
    model: VideoClassifier, on_device: OnDevice, frames: UInt8[Tensor, "B V T H W 3"]
) -> Float[Tensor, "B K"]:
    """Return the probabilities, on the CPU, of uint8 views as the loader gives them."""
    return model(on_device.views(frames)).cpu()
