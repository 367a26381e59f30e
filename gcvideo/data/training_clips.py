"""Training clips: as many of a video as are asked for from one decode, each cropped and augmented anew."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Int64, UInt8
from torch import Tensor

from gcvideo.clip import Clip, VideoRecord
from gcvideo.data.augmentation import ClipAugmentation
from gcvideo.data.dataset import VideoDataset
from gcvideo.data.decoding import Backend, OpenReader, VideoReader
from gcvideo.data.random_state import RandomState, kept
from gcvideo.data.sampling import ClipSampler

Transform = Callable[[UInt8[Tensor, "N 3 H W"]], UInt8[Tensor, "N 3 S S"]]
"""Crops and flips frames of one clip."""


Shared = Literal["clip", "video"]
"""What the repeats of a video have in common."""


class SameClip(ClipSampler):
    """The same frames each time: `AUG.NUM_SAMPLE` of PySlowFast, `num_sample` of VideoMAE."""

    def __init__(self, sampler: ClipSampler, *, num_repeats: int) -> None:
        self.sampler = sampler
        self.num_repeats = num_repeats

    def __call__(self, video_frames: int) -> Int64[Tensor, "R T"]:
        return self.sampler(video_frames).repeat(self.num_repeats, 1)


class OtherClips(SameClip):
    """Another clip of the video each time: `RepeatAugDataset` of MMAction2."""

    def __call__(self, video_frames: int) -> Int64[Tensor, "R T"]:
        return torch.cat([self.sampler(video_frames) for _ in range(self.num_repeats)])


REPEATED: dict[Shared, type[SameClip]] = {"clip": SameClip, "video": OtherClips}


class TrainingDataset(VideoDataset):
    """Videos as training clips: one item per video, with all its R clips from one decode.

    Every clip is cropped and augmented by draws of its own, which follow from the seed, the epoch, the
    video's index and the clip's number, whether they are torch's, numpy's or Python's. The first clip is
    cropped as it is without the others.

    Args:
        records: The videos.
        clips: Frame indices [R T] of the clips of a video with a given number of frames.
        transform: Crops and flips the frames of a clip.
        augment: What is done to the clip then.
        backend: Which decoder reads the files, or what opens them.
        seed: What every random choice derives from, together with the epoch and the video's index.
        num_classes: K, where videos may have several labels: a batch has 0 or 1 for each class then.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        *,
        clips: Callable[[int], Int64[Tensor, "R T"]],
        transform: Transform,
        augment: ClipAugmentation,
        backend: Backend | OpenReader = "pyav",
        seed: int = 0,
        num_classes: int | None = None,
    ) -> None:
        super().__init__(
            records, clips=clips, crops=transform, backend=backend, seed=seed, num_classes=num_classes
        )
        self.transform = transform
        self.augment = augment

    def clip_of(self, record: VideoRecord, reader: VideoReader, frames: Int64[Tensor, "R T"]) -> Clip:
        """Return the clips of an open video."""
        seed, drawn_on = torch.initial_seed(), torch.get_rng_state()
        with kept():
            states = [RandomState.of(seed, 0, number) for number in range(len(frames))]
            states[0] = states[0]._replace(torch=drawn_on)
            clips = decode_clips(reader, frames, self.transform, states)
            for number, clip in enumerate(clips if self.augment.steps else ()):
                RandomState.of(seed, 1, number).use()
                augmented = self.augment(rearrange(clip, "T H W C -> T C H W"))
                clip.copy_(rearrange(augmented, "T C H W -> T H W C"))
        return Clip(clips, record.label, record.video_id, reader.name)

    def empty_clip(self) -> UInt8[Tensor, "T 3 H W"]:
        """Return a black clip of the size of the others."""
        _, _, num_frames, height, width, _ = self.empty_batch().frames.shape
        return torch.zeros(num_frames, 3, height, width, dtype=torch.uint8)


def decode_clips(
    reader: VideoReader,
    indices: Int64[Tensor, "R T"],
    transform: Transform,
    states: Sequence[RandomState],
) -> UInt8[Tensor, "R T S1 S2 3"]:
    """Return R clips of a video from one decode, each cropped by draws from a state of its own."""
    wanted, position = indices.unique(return_inverse=True)
    first, clips = 0, None
    for part in reader.parts_at(wanted.tolist()):
        inside = (first <= position) & (position < first + len(part))
        for number, state in enumerate(states):
            times = inside[number].nonzero().flatten()
            if len(times) == 0:
                continue
            state.use()  # so that all parts are cropped alike
            shown, place = (position[number, times] - first).unique(return_inverse=True)
            frames = _rows(part, shown, is_copied=len(states) > 1)
            cut = rearrange(transform(rearrange(frames, "N H W C -> N C H W")), "N C H W -> N H W C")
            if clips is None:
                clips = cut.new_empty(*indices.shape, *cut.shape[1:])
            for time, row in zip(times.tolist(), place.tolist(), strict=True):
                clips[number, time] = cut[row]
        first += len(part)
    assert clips is not None  # a clip has frames
    return clips


def _rows(
    part: UInt8[Tensor, "N H W 3"], rows: Int64[Tensor, " M"], *, is_copied: bool
) -> UInt8[Tensor, "M H W 3"]:
    """Return ascending frames of a part; a copy, if others read them that a transform may change."""
    first, last = int(rows[0]), int(rows[-1])
    if is_copied or last - first + 1 > len(rows):
        return part[rows]
    return part[first : last + 1]
