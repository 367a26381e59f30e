"""A record becomes a clip: sample, decode once, crop."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.utils.data import Dataset, Sampler, SequentialSampler

from gcvideo.clip import Clip, ClipBatch, VideoRecord
from gcvideo.data.decoding import Backend, OpenReader, VideoReader, open_record
from gcvideo.data.decoding.segments import SegmentReader, boundaries_in_video
from gcvideo.data.lists.records import VideoRecords
from gcvideo.data.sampling import ClipShape, VideoLength, clip_spans

Crops = Callable[[UInt8[Tensor, "N 3 H W"]], Tensor | Sequence[Tensor]]
"""Cuts frames to the size of the network: one crop [N 3 S S], or a list of several."""

Moment = int | tuple[int, int]
"""When a video is read: the epoch; and where that reads a video several times, the place in its order."""

SampleKey = tuple[Moment, int] | tuple[Moment, int, ClipShape]
"""(moment, index of the video), and the shape of the clip where it varies.

All randomness of a sample comes from the seed and this.
"""
KEYS_AT_ONCE = 1 << 16


class EpochOrder(Sampler[SampleKey]):
    """The order in which one process reads the videos of each epoch.

    Process r of R takes every R-th video of the epoch's order, beginning with r. Nothing is repeated to make
    processes even. In training the R-1 videos at most that would make them uneven wait for another epoch
    (`even=True`); in evaluation every video is read exactly once.
    """

    def __init__(
        self,
        num_videos: int,
        *,
        shuffle: bool,
        even: bool,
        seed: int,
        rank: int,
        num_processes: int,
    ) -> None:
        self.num_videos = num_videos
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0
        end = num_videos - num_videos % num_processes if even else num_videos
        self.share = slice(rank, end, num_processes)

    def set_epoch(self, epoch: int) -> None:
        """Take the number of the epoch that begins; Lightning calls this before every epoch."""
        self.epoch = epoch

    def indices(self) -> Int64[Tensor, " N"]:
        """Return the videos of the present epoch in their order."""
        order = torch.arange(self.num_videos)
        if self.shuffle:
            generator = torch.Generator().manual_seed(mixed(self.seed, self.epoch))
            order = torch.randperm(self.num_videos, generator=generator)
        return order[self.share]

    def moment(self, epoch: int, place: int) -> Moment:
        """Return what tells the reading of a video, at a place of this process's order, from others of it."""
        return epoch

    @property
    def fingerprint(self) -> str:
        """What tells orders of the same videos and seed from one another."""
        return ""

    def __iter__(self) -> Iterator[SampleKey]:
        epoch, places = self.epoch, count()
        videos = (index for part in self.indices().split(KEYS_AT_ONCE) for index in part.tolist())
        return ((self.moment(epoch, place), index) for place, index in zip(places, videos, strict=False))

    def __len__(self) -> int:
        return len(range(self.num_videos)[self.share])


class ListOrder(EpochOrder, SequentialSampler):  # pyright: ignore[reportGeneralTypeIssues]
    """The order of the list, which Lightning, to overfit batches, asks for by this type."""


class VideoDataset(Dataset[Clip]):
    """Videos as clips: one item per video, with all its views from one decode.

    Args:
        records: The videos.
        clips: Frame indices [V T] of the temporal views of a video with a given number of frames.
        crops: Spatial views of frames [N 3 H W]: one as a tensor, or several as a list of tensors.
        backend: Which decoder reads the files, or what opens them.
        seed: What every random choice derives from, together with the epoch and the video's index.
        num_classes: K, where videos may have several labels: a batch has 0 or 1 for each class then.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        *,
        clips: Callable[[int], Int64[Tensor, "V T"]],
        crops: Crops,
        backend: Backend | OpenReader = "pyav",
        seed: int = 0,
        num_classes: int | None = None,
    ) -> None:
        self.records = records
        self.clips = clips
        self.crops = crops
        self.backend: Backend | OpenReader = backend
        self.seed = seed
        self.num_classes = num_classes

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: SampleKey) -> Clip:
        moment, index = key[:2]
        when = moment if isinstance(moment, tuple) else (moment,)
        record = self.records[index]
        with (
            _random_state(mixed(self.seed, *when, index)),
            open_record(record, self.backend, packets=self._packets_of(record)) as reader,
        ):
            first = reader.frames.start if isinstance(reader, SegmentReader) else 0
            length = VideoLength(len(reader), reader.fps, first=first)
            return self.clip_of(record, reader, self.clips(length))

    def _packets_of(self, record: VideoRecord) -> bytes | None:
        return self.records.packets_of(record) if isinstance(self.records, VideoRecords) else None

    def clip_of(self, record: VideoRecord, reader: VideoReader, frames: Int64[Tensor, "V T"]) -> Clip:
        """Return the views of an open video."""
        views = decode_views(reader, frames, self.crops)
        return Clip(views, record.label, record.video_id, reader.name)

    def empty_batch(self) -> ClipBatch:
        """Return a batch of no video, shaped as any other: frames [0 V T H W 3]."""
        with _random_state(self.seed):
            cut = _as_list(self.crops(torch.zeros(1, 3, 256, 256, dtype=torch.uint8)))
            num_clips, num_frames = self.clips(1).shape
        height, width = cut[0].shape[-2:]
        frames = cut[0].new_empty(0, num_clips * len(cut), num_frames, height, width, 3)
        return ClipBatch(frames, _labels([], num_classes=self.num_classes), [])


class TimedVideoDataset(VideoDataset):
    """Videos as clips that say when in the video they are."""

    def clip_of(self, record: VideoRecord, reader: VideoReader, frames: Int64[Tensor, "V T"]) -> Clip:
        spans = clip_spans(boundaries_in_video(reader), frames)
        return super().clip_of(record, reader, frames)._replace(spans=spans)


def decode_views(
    reader: VideoReader, indices: Int64[Tensor, "V T"], crops: Crops
) -> UInt8[Tensor, "VS T S1 S2 3"]:
    """Return the views of V temporal clips of a video: all S crops of a clip, then those of the next.

    Every frame is decoded and resized once, in however many clips it stands, and copied once into each view.
    """
    wanted, position = indices.unique(return_inverse=True)
    random_state, first, views = torch.get_rng_state(), 0, None
    for part in reader.parts_at(wanted.tolist()):
        torch.set_rng_state(random_state)  # so that all parts are cropped alike
        cut = _as_list(crops(rearrange(part, "N H W C -> N C H W")))
        if views is None:
            height, width = cut[0].shape[-2:]
            views = part.new_empty(len(indices), len(cut), indices.shape[1], height, width, 3)
        for clip, time in ((first <= position) & (position < first + len(part))).nonzero().tolist():
            for crop, frames in enumerate(cut):
                views[clip, crop, time] = frames[position[clip, time] - first].movedim(0, -1)
        first += len(part)
    assert views is not None  # a clip has frames
    return views.flatten(0, 1)


def _as_list(cropped: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    return [cropped] if isinstance(cropped, Tensor) else cropped


def collate(clips: Sequence[Clip], *, num_classes: int | None = None) -> ClipBatch:
    """Put clips of one size together in a batch; num_classes as of VideoDataset."""
    return ClipBatch(
        torch.stack([clip.frames for clip in clips]),
        _labels([clip.label for clip in clips], num_classes=num_classes),
        [clip.video_id for clip in clips],
        spans=[clip.spans for clip in clips],
    )


def _labels(
    labels: Sequence[int | tuple[int, ...]], *, num_classes: int | None
) -> Int64[Tensor, " B"] | Float[Tensor, "B K"]:
    """Return class indices, or with num_classes 1 for every class that a video has and 0 else."""
    if num_classes is None:
        return torch.tensor(labels, dtype=torch.long)
    shown = torch.zeros(len(labels), num_classes)
    for video, classes in zip(shown, labels, strict=True):
        video[[classes] if isinstance(classes, int) else list(classes)] = 1.0
    return shown


def mixed(*numbers: int) -> int:
    """Return one seed from several numbers, such that neighbours have nothing in common."""
    # With their count, since SeedSequence takes (seed, epoch) and (seed, epoch, 0) for the same.
    sequence = np.random.SeedSequence([len(numbers), *numbers])
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def _random_state(seed: int) -> Iterator[None]:
    """Seed torch's CPU generator, from which torchvision draws, and put it back afterwards."""
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which seeds the accelerators' generators too and would not put them back.
        torch.default_generator.manual_seed(seed)
        yield
