import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from gcvideo.clip import VideoRecord
from gcvideo.data import ClipFrames, ScaleJitter, TimeReversal, TimmRandAugment
from gcvideo.data.augmentation import ClipAugmentation
from gcvideo.data.dataset import VideoDataset
from gcvideo.data.decoding.pyav import PyAVReader
from gcvideo.data.random_state import RandomState, kept
from gcvideo.data.sampling import RandomClip
from gcvideo.data.training_clips import OtherClips, SameClip, TrainingDataset
from tests.data.annotated import write_records

CLIPS = RandomClip(ClipFrames(num_frames=5, stride=3))
JITTER = ScaleJitter(crop_size=32, min_short_side=32, max_short_side=40)


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> list[VideoRecord]:
    return write_records(tmp_path_factory.mktemp("videos"), [30, 8])


def dataset(records: list[VideoRecord], *steps: nn.Module, **settings) -> TrainingDataset:
    given = {"clips": CLIPS, "transform": JITTER.transform, "seed": 4, **settings}
    return TrainingDataset(records, augment=ClipAugmentation(steps), **given)


@pytest.mark.parametrize("part_bytes", [2**30, 1])
def test_without_augmentations_a_clip_is_that_of_a_video_data_set(records, monkeypatch, part_bytes):
    """However many parts its frames are decoded in, and where it is longer than the video."""
    monkeypatch.setattr("gcvideo.data.decoding.reader.PART_BYTES", part_bytes)
    plain = VideoDataset(records, clips=CLIPS, crops=JITTER.transform, seed=4)
    for epoch in range(4):
        for index in range(2):
            ours, theirs = dataset(records)[epoch, index], plain[epoch, index]
            assert torch.equal(ours.frames, theirs.frames)
            assert ours[1:] == theirs[1:]


def test_augmentations_come_after_the_crop_in_their_order(records):
    steps = TimeReversal(1.0), v2.RandomInvert(1.0), v2.RandomSolarize(100, 1.0)
    found, plain = dataset(records, *steps)[2, 0].frames, dataset(records)[2, 0].frames
    inverted = 255 - plain.flip(1)
    assert torch.equal(found, torch.where(inverted >= 100, 255 - inverted, inverted))


def test_a_state_is_kept_and_follows_from_its_numbers():
    def draw() -> tuple[float, float, float]:
        return float(torch.rand(())), float(np.random.rand()), random.random()

    before = RandomState.now()
    with kept():
        draw()
    here = draw()
    before.use()
    assert draw() == here
    drawn = []
    for numbers in ((3, 0), (3, 1), (3, 0)):
        RandomState.of(*numbers).use()
        drawn.append(draw())
    assert drawn[0] == drawn[2]
    assert not set(drawn[0]) & set(drawn[1])


class DrawsFromAll(nn.Module):
    """Adds what torch, numpy and Python draw."""

    def forward(self, clip: Tensor) -> Tensor:
        drawn = int(torch.randint(20, ())) + int(np.random.randint(20)) + random.randrange(20)
        return clip // 2 + drawn


def test_draws_follow_from_seed_epoch_and_video_whatever_draws_and_leave_no_trace(records):
    def of(data: TrainingDataset, *keys: tuple[int, int]) -> list[bytes]:
        return [data[key].frames.numpy().tobytes() for key in keys]

    before = RandomState.now()
    keys = [(0, 0), (0, 1), (1, 0), (1, 1)]
    data = dataset(records, DrawsFromAll())
    found = of(data, *keys)
    assert torch.equal(torch.get_rng_state(), before.torch)
    assert np.random.get_state()[1].tolist() == before.numpy[1].tolist()

    torch.rand(3), np.random.rand(3), random.random()
    assert of(data, *reversed(keys)) == found[::-1]
    assert of(dataset(records, DrawsFromAll(), seed=5), *keys) != found
    assert len({*found}) == 4


class DrawsCrop(ScaleJitter):
    """Cuts where numpy says."""

    def transform(self, frames: Tensor) -> Tensor:
        top = int(np.random.randint(frames.shape[-2] - 31))
        return frames[..., top : top + 32, :32]


def test_all_parts_are_cropped_where_numpy_said(records, monkeypatch):
    crop = DrawsCrop().transform
    whole = [dataset(records, transform=crop)[epoch, 0].frames for epoch in range(5)]
    monkeypatch.setattr("gcvideo.data.decoding.reader.PART_BYTES", 1)
    for epoch, frames in enumerate(whole):
        assert torch.equal(dataset(records, transform=crop)[epoch, 0].frames, frames)


def test_repeats_are_the_same_frames_or_other_clips_each_with_its_own_crop(records):
    """Frame i of a video shows the number i."""
    same = dataset(records, clips=SameClip(CLIPS, num_repeats=3))
    other = dataset(records, clips=OtherClips(CLIPS, num_repeats=3))
    starts, crops = set(), set()
    for epoch in range(6):
        clips = same[epoch, 0].frames
        assert clips.shape == (3, 5, 32, 32, 3)
        assert torch.equal(clips[0], dataset(records)[epoch, 0].frames[0])  # as without repeats
        crops |= {clip.numpy().tobytes() for clip in clips}
        assert torch.equal(same[epoch, 0].frames, clips)
        starts.add(len({tuple(row) for row in OtherClips(CLIPS, num_repeats=3)(30).tolist()}))
        assert len({clip.numpy().tobytes() for clip in other[epoch, 0].frames}) == 3
    assert len(crops) == 18
    assert starts != {1}
    assert {tuple(row) for row in SameClip(CLIPS, num_repeats=3)(8).tolist()} == {(0, 3, 6, 7, 7)}


def test_a_video_is_decoded_once_for_all_its_clips(records, monkeypatch):
    asked = []
    decode = PyAVReader.decode
    monkeypatch.setattr(
        PyAVReader,
        "decode",
        lambda self, ascending, size: asked.append(ascending) or decode(self, ascending, size),
    )
    dataset(records, clips=OtherClips(CLIPS, num_repeats=4))[0, 0]
    (ascending,) = asked
    assert len(set(ascending)) == len(ascending) > 5


def test_however_many_parts_repeats_are_decoded_in_they_are_the_same(records, monkeypatch):
    data = dataset(records, TimmRandAugment(), clips=OtherClips(CLIPS, num_repeats=2))
    whole = [data[epoch, 0].frames for epoch in range(3)]
    monkeypatch.setattr("gcvideo.data.decoding.reader.PART_BYTES", 1)
    for epoch, frames in enumerate(whole):
        assert torch.equal(data[epoch, 0].frames, frames)


def test_a_batch_of_no_video_has_room_for_the_repeats(records):
    empty = dataset(records, clips=SameClip(CLIPS, num_repeats=3)).empty_batch()
    assert empty.frames.shape == (0, 3, 5, 32, 32, 3)
