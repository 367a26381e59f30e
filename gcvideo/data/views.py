"""Which views of a video an evaluation looks at."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gcvideo.data.sampling import ClipFrames, ClipSampler, StartRule, UniformClips
from gcvideo.data.transforms import UniformCrops, ViewCrops


@dataclass(frozen=True)
class EvaluationViews:
    """The views of a video in evaluation; the field's 30 views are 10 clips x 3 crops.

    Args:
        num_clips: Clips spread uniformly in time; a single one stands in the middle.
        num_crops: Square crops along the long side; a single one is the centre crop.
        short_side: Short side after the resize, in pixels.
        crop_size: Side of the crops, in pixels.
        start_rule: to_end lets the last clip end with the video (MMAction2, pytorchvideo); before_end
            never reaches the end (PySlowFast).
        sampler: Rule that chooses num_clips clips in place of start_rule: SlidingClips, or a ClipSampler of
            your own, made with clip and num_clips.
        cropper: Rule that cuts num_crops squares in place of those along the long side: a ViewCrops of your
            own, made with short_side, crop_size and num_crops.
    """

    num_clips: int = 10
    num_crops: int = 3
    short_side: int = 256
    crop_size: int = 256
    start_rule: StartRule = "to_end"
    sampler: Callable[[ClipFrames, int], ClipSampler] | None = None
    cropper: Callable[[int, int, int], ViewCrops] | None = None

    def clips(self, clip: ClipFrames) -> ClipSampler:
        """Return the rule that chooses the clips of a video."""
        if self.sampler is not None:
            return self.sampler(clip, self.num_clips)
        return UniformClips(clip, num_clips=self.num_clips, start_rule=self.start_rule)

    def crops(self) -> ViewCrops:
        """Return the rule that cuts the crops of a clip."""
        return (self.cropper or UniformCrops)(self.short_side, self.crop_size, self.num_crops)

    def as_plain(self, clip: ClipFrames) -> dict[str, Any]:
        """Return what to look at as plain values; rules of one's own are their classes' names."""
        cropper = type(self.crops())
        names = {
            "sampler": self.clips(clip).described(),
            "cropper": f"{cropper.__module__}.{cropper.__qualname__}",
        }
        given = {name: value for name, value in vars(self).items() if value is not None}
        return {name: names.get(name, value) for name, value in given.items()}
