"""What happens to training clips on the device."""

import torch
from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

from gcvideo.clip import ClipBatch, ViewBatch
from gcvideo.data.augmentation import ChosenBlend, ClipAugmentation, RandomErasing
from gcvideo.data.transforms import DeviceTransform, Normalize


class TrainingTransform(DeviceTransform):
    """On the device: augment every clip, normalise, erase, then blend, each where asked.

    Args:
        normalize: The normalisation.
        augment: Augmentations of a clip, whose draws follow from the seed, the step and the process.
        erase: What normalised clips go through.
        blend: How the clips of the batch are blended.
    """

    def __init__(
        self,
        normalize: Normalize,
        *,
        augment: ClipAugmentation,
        erase: RandomErasing | None = None,
        blend: ChosenBlend | None = None,
    ) -> None:
        super().__init__(normalize, blend)
        self.augment = augment
        self.erase = erase

    def forward(self, batch: ClipBatch) -> ViewBatch:
        clips = separate(batch)
        views = self.normalize(self.augmented(clips.frames))
        return self.blended(views if self.erase is None else self.erase(views), clips)

    def augmented(self, frames: UInt8[Tensor, "B 1 T H W 3"]) -> UInt8[Tensor, "B 1 T H W 3"]:
        """Return every clip augmented by draws of its own."""
        if not self.augment.steps or not len(frames):
            return frames
        clips = [self.augment(clip) for clip in rearrange(frames, "B 1 T H W C -> B T C H W")]
        return rearrange(torch.stack(clips), "B T C H W -> B 1 T H W C").contiguous()


def separate(batch: ClipBatch) -> ClipBatch:
    """Make of B videos with R clips each R*B clips: the first ones of all videos, then the second ones.

    So the clips of one video are B places apart, and neighbours, which are blended with each other, are of
    two videos, unless there is only one.
    """
    num_clips = batch.frames.shape[1]
    return batch._replace(
        frames=rearrange(batch.frames, "B R T H W C -> (R B) 1 T H W C"),
        label=batch.label.repeat(num_clips),
        video_id=batch.video_id * num_clips,
        unreadable=batch.unreadable * num_clips,
    )
