"""The batches of an epoch, made one by one, are those of the whole epoch written out."""

import tracemalloc
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import BatchSampler

from gcvideo.clip import Clip, VideoRecord
from gcvideo.data import dataset as dataset_module
from gcvideo.data.dataset import EpochOrder, SampleKey, VideoDataset
from gcvideo.data.loading.loader import VideoLoader
from gcvideo.data.loading.unreadable import RaiseUnreadable
from gcvideo.data.sampling import ClipFrames, RandomClip
from gcvideo.data.transforms import ScaleJitter

RECORD = VideoRecord(Path("/nowhere.mp4"), 0, "nowhere.mp4")


class Keys(VideoDataset):
    """A data set of clips that show nothing but the keys that they were asked for with."""

    def __init__(self, num_videos: int) -> None:
        crop = ScaleJitter(crop_size=8, min_short_side=8, max_short_side=8).transform
        super().__init__([RECORD] * num_videos, clips=RandomClip(ClipFrames(1, 1)), crops=crop)

    def __getitem__(self, key: SampleKey) -> Clip:
        epoch, index = key
        return Clip(torch.zeros(1, 1, 1, 1, 3, dtype=torch.uint8), index, f"epoch {epoch}")


def loader_of(
    num_videos: int, *, batch_size: int, training: bool, seed=0, rank=0, processes=1
) -> VideoLoader:
    order = EpochOrder(
        num_videos, shuffle=training, even=training, seed=seed, rank=rank, num_processes=processes
    )
    return VideoLoader(
        Keys(num_videos),
        order=order,
        batch_size=batch_size,
        drop_last=training,
        timeout_seconds=0.0,
        unreadable=RaiseUnreadable(),
    )


def written_out(num_videos, *, batch_size, training, seed, rank, processes, epoch) -> list[list[SampleKey]]:
    """Every key in a list, then every batch in a list, by torch's own BatchSampler."""
    order = list(range(num_videos))
    if training:
        generator = torch.Generator().manual_seed(dataset_module.mixed(seed, epoch))
        order = torch.randperm(num_videos, generator=generator).tolist()
        order = order[: num_videos - num_videos % processes]
    keys = [(epoch, index) for index in order[rank::processes]]
    batches = list(BatchSampler(keys, batch_size, drop_last=training))
    return batches or [[] for _ in range(not training)]


@given(
    num_videos=st.integers(1, 60),
    batch_size=st.integers(1, 9),
    training=st.booleans(),
    seed=st.integers(0, 9),
    epoch=st.integers(0, 9),
    ranks=st.sampled_from([(0, 1), (0, 2), (1, 2), (2, 3), (6, 7)]),
    data=st.data(),
)
def test_batches_are_those_of_the_epoch_written_out(
    num_videos, batch_size, training, seed, epoch, ranks, data
):
    settings = {"batch_size": batch_size, "training": training, "seed": seed}
    settings |= dict(zip(("rank", "processes"), ranks, strict=True))
    expected = written_out(num_videos, epoch=epoch, **settings)
    loader = loader_of(num_videos, **settings)
    assert len(loader) == len(expected)
    skipped = data.draw(st.integers(0, len(expected)), label="skipped")
    iterator = iter(loader)
    loader.sampler.set_epoch(epoch)
    loader.skip(skipped)
    found = [
        [
            (int(name.removeprefix("epoch ")), label)
            for name, label in zip(batch.video_id, batch.label.tolist(), strict=True)
        ]
        for batch in iterator
    ]
    assert found == expected[skipped:]


def test_a_batch_of_a_million_videos_makes_no_list_of_them():
    loader = loader_of(1_000_000, batch_size=4, training=True)
    tracemalloc.start()  # of Python's own objects: the order itself is one tensor
    batch = next(iter(loader))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(batch.video_id) == 4
    assert most < 1e6
