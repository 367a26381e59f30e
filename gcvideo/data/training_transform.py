"""What happens to training clips on the device."""

from collections.abc import Callable
from zlib import crc32

import torch
from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

from gcvideo.clip import ClipBatch, ViewBatch
from gcvideo.data.augmentation import ChosenBlend, ClipAugmentation, RandomErasing
from gcvideo.data.random_state import RandomState, kept
from gcvideo.data.transforms import DeviceTransform, Normalize


class TrainingTransform(DeviceTransform):
    """On the device: augment every clip, normalise, erase, then blend, each where asked.

    What is drawn for a clip follows from the seed, the epoch, its video and its number among that video's
    clips: from neither its batch nor its process. Blending, and what a GPU draws itself (the noise in boxes
    that are erased), follow from the step and the process.

    Args:
        normalize: The normalisation.
        augment: Augmentations of a clip.
        erase: What normalised clips go through.
        blend: How the clips of the batch are blended.
        seed: What the draws for a clip follow from.
    """

    def __init__(
        self,
        normalize: Normalize,
        *,
        augment: ClipAugmentation,
        erase: RandomErasing | None = None,
        blend: ChosenBlend | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(normalize, blend)
        self.augment = augment
        self.erase = erase
        self.seed = seed

    def forward(self, batch: ClipBatch) -> ViewBatch:
        clips = separate(batch)
        frames = (
            self._each(self._augmented, clips.frames, batch, purpose=2)
            if self.augment.steps
            else clips.frames
        )
        views = self.normalize(frames)
        if self.erase is not None:
            views = self._each(self.erase, views, batch, purpose=3)
        return self.blended(views, clips)

    def _each(
        self, change: Callable[[Tensor], Tensor], clips: Tensor, batch: ClipBatch, *, purpose: int
    ) -> Tensor:
        """Return the R*B clips of a batch, as `separate` puts them, each changed by draws of its own."""
        if not len(clips):
            return clips
        changed = []
        with kept():
            for place, clip in enumerate(clips.split(1)):
                number, video = divmod(place, len(batch.video_id))
                name = crc32(batch.video_id[video].encode())
                in_order = batch.places[video : video + 1]
                RandomState.of(self.seed, batch.epoch, name, purpose, number, *in_order).use()
                changed.append(change(clip))
        return torch.cat(changed)

    def _augmented(self, clip: UInt8[Tensor, "1 1 T H W 3"]) -> UInt8[Tensor, "1 1 T H W 3"]:
        augmented = self.augment(rearrange(clip, "1 1 T H W C -> T C H W"))
        return rearrange(augmented, "T C H W -> 1 1 T H W C").contiguous()


def separate(batch: ClipBatch) -> ClipBatch:
    """Make of B videos with R clips each R*B clips: the first ones of all videos, then the second ones.

    So the clips of one video are B places apart, and neighbours, which are blended with each other, are of
    two videos, unless there is only one.
    """
    num_clips = batch.frames.shape[1]
    return batch._replace(
        frames=rearrange(batch.frames, "B R T H W C -> (R B) 1 T H W C"),
        label=torch.cat([batch.label] * num_clips),
        video_id=batch.video_id * num_clips,
        unreadable=batch.unreadable * num_clips,
    )
