"""Orders in which rare classes come more often: their shares, and that a run which goes on has the same."""

import logging
import math
from pathlib import Path

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torchvision.transforms import v2

from gcvideo.clip import VideoRecord
from gcvideo.data import (
    ClassBalanced,
    ProgressivelyBalanced,
    SquareRoot,
    TrainOrder,
    VideoDataModule,
)
from gcvideo.data.loading.train_order import DrawnOrder, ListLabels
from tests.data.annotated import write_dataset
from tests.data.test_datamodule import SMALL, trainer

NAMES = ["walk", "run", "jump", "fall"]
COUNTS = [600, 3, 90, 0]
NUM_VIDEOS = sum(COUNTS)


def labels_of(*labels: int | tuple[int, ...]) -> ListLabels:
    records = [VideoRecord(Path(f"{i}.mp4"), label, f"{i}.mp4") for i, label in enumerate(labels)]
    return ListLabels(records, NAMES)


def mixed_list() -> ListLabels:
    label = torch.arange(4).repeat_interleave(torch.tensor(COUNTS))
    order = torch.randperm(NUM_VIDEOS, generator=torch.Generator().manual_seed(0))
    return labels_of(*label[order].tolist())


LIST = mixed_list()
ORDERS: dict[str, tuple[TrainOrder, float]] = {
    "balanced": (ClassBalanced(), 0.0),
    "square root": (SquareRoot(), 0.5),
    "not yet balanced": (ProgressivelyBalanced(1 << 30), 1.0),
}


def drawn(order: TrainOrder, *, epochs: int, labels: ListLabels = LIST) -> Tensor:
    return torch.cat([order(labels, seed=3, epoch=epoch) for epoch in range(epochs)])


@pytest.mark.parametrize("name", ORDERS)
def test_classes_have_the_shares_of_the_equation_and_their_videos_are_alike(name):
    """p_j = n_j^q / sum_i n_i^q, by a chi-square test over classes, and over the videos of each."""
    order, q = ORDERS[name]
    videos = drawn(order, epochs=40)
    assert len(videos) == 40 * NUM_VIDEOS
    power = [n**q if n else 0.0 for n in COUNTS]
    expected = [len(videos) * p / math.fsum(power) for p in power]
    found = LIST.label[videos].bincount(minlength=4).tolist()
    assert found[3] == 0
    assert chisquare(found[:3], expected[:3]).pvalue > 1e-3
    for k in range(3):
        of_class = videos.bincount(minlength=NUM_VIDEOS)[LIST.label == k]
        assert chisquare(of_class.tolist()).pvalue > 1e-3


def test_progressively_balanced_goes_from_the_list_to_balance():
    order = ProgressivelyBalanced(10)
    listed, half, balanced = (order.class_shares(LIST, epoch=epoch).tolist() for epoch in (0, 5, 10))
    assert listed == pytest.approx([n / NUM_VIDEOS for n in COUNTS])
    assert balanced == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    assert half == pytest.approx([(a + b) / 2 for a, b in zip(listed, balanced, strict=True)])
    assert order.class_shares(LIST, epoch=11).tolist() == balanced


def test_an_order_follows_from_seed_and_epoch_alone():
    order = ClassBalanced()
    assert torch.equal(order(LIST, seed=3, epoch=1), ClassBalanced()(mixed_list(), seed=3, epoch=1))
    assert not torch.equal(order(LIST, seed=3, epoch=1), order(LIST, seed=3, epoch=2))
    assert not torch.equal(order(LIST, seed=3, epoch=1), order(LIST, seed=4, epoch=1))


@pytest.mark.parametrize("num_processes", [1, 2, 3, 7])
def test_processes_share_the_places_of_an_epoch_out_exactly(num_processes):
    settings = {"shuffle": True, "even": True, "seed": 3, "num_processes": num_processes}
    shares = [list(DrawnOrder(ClassBalanced(), LIST, rank=rank, **settings)) for rank in range(num_processes)]
    whole = ClassBalanced()(LIST, seed=3, epoch=0).tolist()
    together = [key for keys in zip(*shares, strict=True) for key in keys]
    used = NUM_VIDEOS - NUM_VIDEOS % num_processes
    assert together == [((0, place), index) for place, index in enumerate(whole[:used])]


def test_of_several_labels_each_is_drawn_as_if_it_were_alone_and_of_none_never():
    labels = labels_of((0,), (0, 1), (), (0,), (0, 2))
    videos = drawn(ClassBalanced(), epochs=2000, labels=labels)
    # walk: videos 0, 1, 3, 4 by 1/12 each; run: video 1 by 1/3; jump: video 4 by 1/3.
    expected = [1 / 12, 1 / 12 + 1 / 3, 0, 1 / 12, 1 / 12 + 1 / 3]
    found = videos.bincount(minlength=5).double() / len(videos)
    assert found.tolist() == pytest.approx(expected, abs=0.015)
    assert found[2] == 0


class Backwards(TrainOrder):
    """From the last video to the first, or what is no order."""

    def __init__(self, beyond: int = 0, half: bool = False) -> None:
        self.beyond = beyond
        self.half = half

    def __call__(self, labels, *, seed, epoch):
        order = torch.arange(labels.num_videos).flip(0) + self.beyond
        return order[::2] if self.half else order


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), train=5, val=3, test=2)


def test_an_order_of_ones_own_is_followed_or_refused(root):
    data = VideoDataModule(root, **SMALL, train_order=Backwards())
    assert [name for batch in data.train_dataloader() for name in batch.video_id] == [
        f"0{index}.mp4" for index in (4, 3, 2, 1)
    ]
    assert next(name for batch in data.val_dataloader() for name in batch.video_id) == "00.mp4"
    for order, message in [
        (Backwards(beyond=1), r"train_order Backwards names videos 1 to 5; expected 0\.\.4"),
        (Backwards(half=True), r"Backwards gives torch\.int64 \[3\]; expected .* each of 5 places"),
    ]:
        with pytest.raises(ValueError, match=message):
            next(iter(VideoDataModule(root, **SMALL, train_order=order).train_dataloader()))


class Same(TrainOrder):
    """One video all the time."""

    def __call__(self, labels, *, seed, epoch):
        return torch.zeros(labels.num_videos, dtype=torch.int64)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_video_that_comes_several_times_has_other_clips_each_time(root, num_workers):
    settings = {**SMALL, "batch_size": 4, "num_workers": num_workers}
    (batch,) = VideoDataModule(root, **settings, train_order=Same()).train_dataloader()
    assert batch.video_id == ["00.mp4"] * 4
    assert len({clip.numpy().tobytes() for clip in batch.frames}) == 4
    (again,) = VideoDataModule(root, **settings, train_order=Same()).train_dataloader()
    assert torch.equal(batch.frames, again.frames)


def test_it_is_augmented_otherwise_each_time_on_the_device_too(root):
    jitter = v2.ColorJitter(brightness=0.9)
    data = VideoDataModule(root, **{**SMALL, "batch_size": 4}, train_order=Same(), device_augment=[jitter])
    (batch,) = data.train_dataloader()
    assert (batch.epoch, batch.places) == (0, [0, 1, 2, 3])
    data.trainer = trainer(training=True)  # type: ignore[assignment]
    alike = batch._replace(frames=torch.full_like(batch.frames, 99))
    assert len(data.on_after_batch_transfer(alike, 0).views[:, 0, 0, 0, 0, 0].unique()) == 4


def test_loaders_are_told_apart_by_their_order_and_its_settings(root):
    def fingerprint(order: TrainOrder | None) -> str:
        return VideoDataModule(root, **SMALL, train_order=order).train_dataloader().order_fingerprint

    orders = [None, ClassBalanced(), SquareRoot(), ProgressivelyBalanced(2), ProgressivelyBalanced(3)]
    assert len(set(map(fingerprint, orders))) == 5
    assert fingerprint(ProgressivelyBalanced(2)) == fingerprint(ProgressivelyBalanced(2))


def test_the_log_says_once_what_share_the_commonest_and_the_rarest_class_have(root, caplog):
    (root / "uneven.csv").write_text(
        "".join(f"0{i}.mp4,{label}\n" for i, label in enumerate([0, 0, 0, 0, 2]))
    )
    uneven = {"train": Path("uneven.csv"), **SMALL}
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        data = VideoDataModule(root, **uneven, train_order=ClassBalanced())
        data.train_dataloader()
        data.train_dataloader()
        VideoDataModule(root, **uneven, train_order=ProgressivelyBalanced(4)).train_dataloader()
    said = [message for message in caplog.messages if "train_order" in message]
    said_always = (
        "an epoch draws 5 times a video, with replacement; the commonest class, one, 80.0% of the list, "
    )
    assert said == [
        f"data.train_order ClassBalanced: {said_always}"
        "is 50.0% of it, and the rarest, three, 20.0% of the list, is 50.0%",
        f"data.train_order ProgressivelyBalanced: {said_always}"
        "is 80.0% at first and 50.0% at the end of it, and the rarest, three, 20.0% of the list, is 20.0% at "
        "first and 50.0% at the end",
    ]


def test_batches_that_are_overfitted_are_the_first_of_the_list(root, caplog):
    data = VideoDataModule(root, **SMALL, train_order=Backwards())
    data.trainer = trainer(overfit_batches=1)  # type: ignore[assignment]
    with caplog.at_level(logging.WARNING, logger="gcvideo"):
        loader = data.train_dataloader()
    assert next(iter(loader)).video_id == ["00.mp4", "01.mp4"]
    assert (
        "trainer.overfit_batches repeats the first videos of the list; data.train_order waits" in caplog.text
    )
