"""The classes of the newest clip of a source, again and again."""

import logging
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from gcvideo.data.datamodule import VideoDataModule
from gcvideo.data.decoding.pyav import upright_rgb
from gcvideo.data.frame_rates import said_of_rates
from gcvideo.data.on_device import OnDevice
from gcvideo.data.sampling import ClipFrames, VideoLength
from gcvideo.data.views import EvaluationViews
from gcvideo.prediction.live import Held, LiveFrame, NewestFrames
from gcvideo.prediction.predictors import classify
from gcvideo.prediction.timeline import Ranked, likeliest
from gcvideo.training import VideoClassifier

log = logging.getLogger(__name__)

USUAL_RATES = (23.0, 31.0)
"""Frames a second at which videos of data sets were taken, nearly all."""
LATENCIES_KEPT = 10_000
BETWEEN_FRAMES = 1e-6
"""In frames; added where rounding may fall short of the last one."""


class LivePrediction(NamedTuple):
    """What a network sees in one clip of a source."""

    frame: int
    """Number of the clip's last frame, from 0."""
    start_seconds: float
    """Of the clip's first frame, since the first one of the source."""
    end_seconds: float
    """Of its last."""
    top: list[Ranked]
    smoothed: list[Ranked]
    """Of the running mean over the clips so far."""
    latency_seconds: float
    """From when the clip's last frame was decoded to its classes."""

    def as_json(self) -> dict[str, Any]:
        """Return the prediction as JSON holds it."""
        return {
            "frame": self.frame,
            "start_seconds": round(self.start_seconds, 3),
            "end_seconds": round(self.end_seconds, 3),
            "latency_seconds": round(self.latency_seconds, 4),
            "top": [one.as_json() for one in self.top],
            "smoothed": [one.as_json() for one in self.smoothed],
        }


class LivePredictor:
    """Classifies the newest clip, at even times; a time that passes while it does is left out.

    Args:
        model: The classifier, in evaluation mode on its device.
        data: What tells the clip and its normalisation.
        views: Crops of every clip; their number of clips has no meaning here.
        every_seconds: From one prediction to the next.
        smoothing_seconds: Time constant of the running mean of the probabilities; 0 is each clip's own.
    """

    def __init__(
        self,
        model: VideoClassifier,
        data: VideoDataModule,
        views: EvaluationViews,
        *,
        every_seconds: float,
        smoothing_seconds: float,
    ) -> None:
        self.model = model
        self.clip = data.clip
        self.trained_at = data.trained_frame_rate
        self.crops = views.crops()
        self.every_seconds = every_seconds
        self.smoothing_seconds = smoothing_seconds
        self.on_device = OnDevice(data, model.device)
        self.latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)
        """In seconds, of the last predictions."""
        self.num_predictions = 0
        self.num_late = 0
        """Predictions left out because the one before was not done."""
        self._reformatter = VideoReformatter()

    def __call__(self, newest: NewestFrames) -> Iterator[LivePrediction]:
        """Yield predictions until the source has ended, with a last one on its last frames."""
        times, mean = EvenTimes(self.every_seconds), RunningMean(self.smoothing_seconds)
        for held in newest_clips(newest, times):
            last = held.frames[-1]
            if self.num_predictions == 0 and held.is_whole and len(held.frames) > 1:
                say_span(held.frames, target_fps=self.clip.target_fps, trained_at=self.trained_at)

            # The clip's own classes, and those of the running mean, which does not pass over a gap
            started = time.monotonic()
            probabilities = self.classify(held.frames)
            smoothed = mean.with_clip(probabilities, seconds=last.seconds, num_gaps=held.num_gaps)
            done = time.monotonic()

            self.num_predictions += 1
            self.num_late += times.pass_over(started, done)
            self.latencies.append(done - last.decoded_at)
            yield LivePrediction(
                frame=last.number,
                start_seconds=held.frames[0].seconds,
                end_seconds=last.seconds,
                top=likeliest(probabilities, self.model.class_names),
                smoothed=likeliest(smoothed, self.model.class_names),
                latency_seconds=self.latencies[-1],
            )

    def classify(self, frames: Sequence[LiveFrame]) -> Float[Tensor, " K"]:
        """Return the probabilities of the clip that ends with the last of the frames."""
        return classify(self.model, self.on_device, self.views(frames))[0]

    def views(self, frames: Sequence[LiveFrame]) -> UInt8[Tensor, "1 S T H W 3"]:
        """Return the crops of the clip that ends with the last of the frames."""
        wanted = newest_clip(frames, self.clip)
        rgb = [upright_rgb(frame.picture, self._reformatter, name="live") for frame in wanted]
        cut = self.crops(rearrange(torch.from_numpy(np.stack(rgb)), "T H W C -> T C H W"))
        return rearrange(torch.stack(list(cut)), "S T C H W -> 1 S T H W C").contiguous()


def newest_clips(newest: NewestFrames, times: "EvenTimes") -> Iterator[Held]:
    """Yield the frames of the newest clip, at even times, and at the end.

    The first comes as soon as a clip is full. Of a source that ends before, whatever came is one: the last
    frame is held, as of any short video.
    """
    seen = -1
    while True:
        newest.wait_for_end(seconds=times.seconds_left())
        held = newest.clip(newer_than=seen)
        is_new = bool(held.frames) and held.frames[-1].number > seen
        if not is_new or (not held.is_whole and seen >= 0):
            return  # it has ended
        seen = held.frames[-1].number
        yield held


class EvenTimes:
    """Moments that are evenly spaced, of which those that pass while one is busy are left out."""

    def __init__(self, every_seconds: float) -> None:
        self.every_seconds = every_seconds
        self._begin: float | None = None
        self._next = 0.0

    def seconds_left(self) -> float:
        """Return how long it is to the next moment."""
        return max(self._next - time.monotonic(), 0.0)

    def pass_over(self, started: float, done: float) -> int:
        """Set the next moment after `done`, and return how many passed since `started`."""
        self._begin = started if self._begin is None else self._begin
        before, after = ((moment - self._begin) // self.every_seconds for moment in (started, done))
        self._next = self._begin + (after + 1) * self.every_seconds
        return int(after - before)


class RunningMean:
    """The exponential running mean of probabilities, whose weights fall by e in `smoothing_seconds`.

    m_t = k m_(t-d) + (1 - k) p_t with k = exp(-d / smoothing_seconds), at times d apart, begun anew at a gap.
    """

    def __init__(self, smoothing_seconds: float) -> None:
        self.smoothing_seconds = smoothing_seconds
        self._mean: Float[Tensor, " K"] | None = None
        self._seconds = 0.0
        self._num_gaps = 0

    def with_clip(
        self, probabilities: Float[Tensor, " K"], *, seconds: float, num_gaps: int
    ) -> Float[Tensor, " K"]:
        """Take in the probabilities of a clip, and return the mean."""
        if self._mean is None or num_gaps != self._num_gaps or self.smoothing_seconds == 0:
            self._mean = probabilities
        else:
            kept = math.exp(-(seconds - self._seconds) / self.smoothing_seconds)
            self._mean = kept * self._mean + (1 - kept) * probabilities
        self._seconds, self._num_gaps = seconds, num_gaps
        return self._mean


def newest_clip(frames: Sequence[LiveFrame], clip: ClipFrames) -> list[LiveFrame]:
    """Return the frames of the clip that ends with the last one; with a target_fps at the rate of these."""
    length = VideoLength(len(frames), rate_of(frames))
    start = clip.last_start(length)
    if isinstance(start, float):
        starts = torch.tensor([start + BETWEEN_FRAMES], dtype=torch.float64)
    else:
        starts = torch.tensor([start])
    return [frames[index] for index in clip.at(starts, length)[0].tolist()]


def rate_of(frames: Sequence[LiveFrame]) -> float:
    """Return frames a second, to the millisecond that clocks keep; of a single frame any."""
    if len(frames) < 2:
        return 1.0
    return round((len(frames) - 1) / (frames[-1].seconds - frames[0].seconds), 3)


def say_span(
    frames: Sequence[LiveFrame], *, target_fps: float | None = None, trained_at: float | None = None
) -> None:
    """Log what time a clip spans here, and warn where it is another than in training.

    Args:
        frames: Those of a clip.
        target_fps: That of the clip, which spans the same time at any rate then.
        trained_at: Frames a second in training, where the checkpoint says it.
    """
    rate = rate_of(frames)
    log.info("a clip spans %d frames: %.2f s at %.3g frames a second", len(frames), len(frames) / rate, rate)
    if target_fps is not None:
        return
    if trained_at is not None:
        if said := said_of_rates(trained_at, rate, of="streams such as this"):
            log.warning(said)
    elif not USUAL_RATES[0] <= rate <= USUAL_RATES[1]:
        log.warning(
            "%.3g frames a second come, and most videos have 24 to 30: a clip, which is counted in frames, "
            "spans %.2g times the time that it does at 30",
            rate,
            30 / rate,
        )
