from contextlib import contextmanager
from itertools import chain

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from gcvideo.clip import Clip
from gcvideo.data import dataset as dataset_module
from gcvideo.data.dataset import EpochOrder, VideoDataset, collate
from gcvideo.data.decoding import DecodeError, open_record, open_video
from gcvideo.data.decoding import reader as reader_module
from gcvideo.data.decoding.decord import DecordReader
from gcvideo.data.decoding.pyav import PyAVReader
from gcvideo.data.sampling import ClipFrames, RandomClip, UniformClips
from gcvideo.data.transforms import ScaleJitter, UniformCrops
from tests.data.annotated import verified, write_records
from tests.data.encoding import numbers_shown

LENGTHS = [40, 25, 5, 33]
CLIP = ClipFrames(num_frames=4, stride=3)
JITTER = ScaleJitter(crop_size=64, min_short_side=72, max_short_side=96)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    unverified = write_records(tmp_path_factory.mktemp("videos"), LENGTHS)
    return [record._replace(verified=verified(record.path)) for record in unverified]


def whole(frames: Tensor) -> list[Tensor]:
    return [frames]


def training_dataset(records, seed: int = 0) -> VideoDataset:
    return VideoDataset(records, clips=RandomClip(CLIP), crops=JITTER.transform, seed=seed)


def same(first: Clip, second: Clip) -> bool:
    return torch.equal(first.frames, second.frames) and first[1:] == second[1:]


@pytest.fixture
def counted_decodes(monkeypatch):
    """The indices of every decode, one list for every video opened."""
    opened = []

    @contextmanager
    def counting(record, backend, **settings):
        calls = []
        opened.append(calls)
        with open_record(record, backend, **settings) as reader:
            given = reader.parts_at
            monkeypatch.setattr(reader, "parts_at", lambda wanted: calls.append(wanted) or given(wanted))
            yield reader

    monkeypatch.setattr(dataset_module, "open_record", counting)
    return opened


@pytest.mark.parametrize("backend", ["decord", "pyav"])
@pytest.mark.parametrize("index", range(len(LENGTHS)))
def test_the_frames_are_those_that_the_sampler_asked_for(records, index, backend):
    sampler = UniformClips(CLIP, num_clips=5)
    clip = VideoDataset(records, clips=sampler, crops=whole, backend=backend)[0, index]
    assert clip.label == records[index].label
    assert clip.video_id == records[index].video_id
    shown = [numbers_shown(view.numpy()) for view in clip.frames]
    assert shown == sampler(LENGTHS[index]).tolist()


def test_all_views_of_a_video_come_from_one_decode_of_each_frame(records, counted_decodes):
    crops = UniformCrops(short_side=96, crop_size=96, num_crops=3)
    dataset = VideoDataset(records, clips=UniformClips(CLIP, num_clips=10), crops=crops)
    assert dataset[0, 0].frames.shape == (30, 4, 96, 96, 3)
    ((wanted,),) = counted_decodes
    assert wanted == sorted(set(wanted))
    assert set(wanted) == set(UniformClips(CLIP, num_clips=10)(LENGTHS[0]).flatten().tolist())


@pytest.mark.parametrize("backend", ["decord", "pyav"])
def test_large_frames_are_decoded_in_one_pass_some_at_a_time_and_cropped_alike(records, backend, monkeypatch):
    whole = VideoDataset(records, clips=RandomClip(CLIP), crops=JITTER.transform, backend=backend)
    expected = [whole[epoch, 0] for epoch in range(3)]
    passes, sizes = [], []

    def watched(reader, ascending, part_size):
        passes.append(ascending)
        for part in original(reader, ascending, part_size):
            sizes.append(len(part))
            yield part

    reader_class = {"decord": DecordReader, "pyav": PyAVReader}[backend]
    original = reader_class.decode
    monkeypatch.setattr(reader_class, "decode", watched)
    monkeypatch.setattr(reader_module, "PART_BYTES", 3 * 96 * 128 * 3)
    assert all(same(whole[epoch, 0], clip) for epoch, clip in enumerate(expected))
    assert len(passes) == 3
    assert sizes == [3, 1] * 3


def test_the_thirty_views_stand_clip_by_clip_and_crop_by_crop(records):
    sampler = UniformClips(CLIP, num_clips=10)
    crops = UniformCrops(short_side=96, crop_size=96, num_crops=3)
    views = VideoDataset(records, clips=sampler, crops=crops)[0, 0].frames
    with open_video(records[0].path) as reader:
        for k, indices in enumerate(sampler(LENGTHS[0]).tolist()):
            frames = reader.frames_at(indices)  # T 96 128 3: only the long side is cropped
            for crop, left in enumerate([0, 16, 32]):
                assert torch.equal(views[3 * k + crop], frames[:, :, left : left + 96])


def test_a_clip_follows_from_seed_epoch_and_video_alone(records):
    dataset = training_dataset(records)
    keys = [(epoch, index) for epoch in range(3) for index in range(4)]
    first = {key: dataset[key] for key in keys}
    torch.manual_seed(99)
    again = training_dataset(records)
    assert all(same(again[key], first[key]) for key in reversed(keys))
    for epoch, index in keys[4:]:
        assert not same(first[epoch, index], first[epoch - 1, index])
    other_seed = training_dataset(records, seed=1)
    assert not any(same(other_seed[key], first[key]) for key in keys)


def test_videos_of_one_epoch_draw_differently(records):
    twice = training_dataset([records[0]] * 4)
    clips = [twice[0, index].frames for index in range(4)]
    assert not any(torch.equal(a, b) for n, a in enumerate(clips) for b in clips[:n])


def test_clips_do_not_depend_on_the_number_of_workers(records):
    def batches(num_workers: int) -> list:
        order = EpochOrder(4, shuffle=True, even=True, seed=3, rank=0, num_processes=1)
        loader = DataLoader(
            training_dataset(records),
            batch_size=2,
            sampler=order,
            collate_fn=collate,
            num_workers=num_workers,
        )
        return list(loader)

    alone, shared = batches(0), batches(2)
    assert len(alone) == 2
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one.frames, other.frames)
        assert torch.equal(one.label, other.label)
        assert one.video_id == other.video_id


def test_the_global_generators_are_left_as_they_were(records):
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(3), np.random.rand(3).tolist()
    torch.manual_seed(5)
    np.random.seed(5)
    training_dataset(records)[0, 0]
    assert torch.equal(torch.rand(3), expected[0])
    assert np.random.rand(3).tolist() == expected[1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_generator_of_the_gpu_is_left_as_it_was(records):
    torch.cuda.manual_seed(5)
    expected = torch.rand(3, device="cuda")
    torch.cuda.manual_seed(5)
    training_dataset(records)[0, 0]
    assert torch.equal(torch.rand(3, device="cuda"), expected)


def test_a_video_that_cannot_be_read_is_an_error_and_not_another_video(records, tmp_path):
    missing = records[0]._replace(path=tmp_path / "missing.mp4")
    with pytest.raises(DecodeError, match=r"missing\.mp4"):
        training_dataset([missing, records[1]])[0, 0]


def test_collate_stacks_frames_and_labels_in_order(records):
    clips = [training_dataset(records)[0, index] for index in (2, 0, 1)]
    batch = collate(clips)
    assert batch.label.tolist() == [2, 0, 1]
    assert batch.label.dtype == torch.int64
    assert batch.video_id == ["02.mp4", "00.mp4", "01.mp4"]
    assert all(torch.equal(row, clip.frames) for row, clip in zip(batch.frames, clips, strict=True))


def shares(num_videos: int, num_processes: int, epoch: int = 0, **settings) -> list[list[int]]:
    orders = [
        EpochOrder(num_videos, rank=rank, num_processes=num_processes, **settings)
        for rank in range(num_processes)
    ]
    for order in orders:
        order.set_epoch(epoch)
    keys = [list(order) for order in orders]
    assert all(found == epoch for share in keys for found, _ in share)
    assert [len(order) for order in orders] == [len(share) for share in keys]
    return [[index for _, index in share] for share in keys]


@pytest.mark.parametrize("num_processes", [1, 2, 3])
@pytest.mark.parametrize("num_videos", [1, 7, 21, 100])
@pytest.mark.parametrize("shuffle", [True, False])
def test_in_evaluation_every_video_is_read_exactly_once(num_videos, num_processes, shuffle):
    parts = shares(num_videos, num_processes, shuffle=shuffle, even=False, seed=0)
    assert sorted(chain(*parts)) == list(range(num_videos))
    if not shuffle:
        assert all(part == sorted(part) for part in parts)


@pytest.mark.parametrize("num_processes", [1, 2, 3])
@pytest.mark.parametrize("num_videos", [1, 7, 21, 100])
def test_in_training_processes_read_equally_many_videos_and_none_twice(num_videos, num_processes):
    waiting = set()
    for epoch in range(40):
        parts = shares(num_videos, num_processes, epoch, shuffle=True, even=True, seed=0)
        assert [len(part) for part in parts] == [num_videos // num_processes] * num_processes
        read = list(chain(*parts))
        assert len(set(read)) == len(read)
        assert set(read) <= set(range(num_videos))
        waiting |= set(range(num_videos)) - set(read)
    if num_videos == 7 and num_processes > 1:
        assert waiting == set(range(7))  # it is not always the same videos that wait


def test_the_order_differs_between_epochs_and_seeds_and_is_kept_otherwise():
    settings = {"shuffle": True, "even": True}
    orders = [shares(100, 1, epoch, seed=seed, **settings)[0] for epoch in range(3) for seed in range(3)]
    assert len({tuple(order) for order in orders}) == 9
    assert shares(100, 1, 2, seed=1, **settings)[0] == orders[7]


def test_epochs_seeds_and_videos_never_share_a_seed():
    mixed = [dataset_module.mixed(*numbers) for numbers in np.ndindex(8, 8, 8)]
    mixed += [dataset_module.mixed(*numbers) for numbers in np.ndindex(8, 8)]
    assert len(set(mixed)) == 8**3 + 8**2
