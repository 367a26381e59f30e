import logging
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins.precision import Precision
from torchvision.transforms import v2

from gcvideo.clip import ClipBatch
from gcvideo.data import Blending, ClipFrames, EvaluationViews, ScaleJitter, VideoDataModule
from gcvideo.data.augmentation import BlendClips
from gcvideo.data.datamodule import available_workers
from gcvideo.data.lists.annotations import AnnotationError
from gcvideo.data.transforms import FrameTransform
from tests.data.annotated import CLASS_NAMES, write_dataset

SMALL = {
    "clip": ClipFrames(num_frames=2, stride=2),
    "train_transform": ScaleJitter(crop_size=32, min_short_side=32, max_short_side=40),
    "val_views": EvaluationViews(1, 1, short_side=32, crop_size=32),
    "test_views": EvaluationViews(2, 3, short_side=40, crop_size=40),
    "batch_size": 2,
    "num_workers": 0,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), train=5, val=3, test=2)


def lists(folder: Path, **texts: str) -> Path:
    """A data set's text files alone; no video is opened for its loaders to be made."""
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def test_each_split_has_its_own_clips_views_and_batch_size(root):
    data = VideoDataModule(root, **SMALL)
    (val, *_), (test, *_) = list(data.val_dataloader()), list(data.test_dataloader())
    train = list(data.train_dataloader())
    assert [batch.frames.shape for batch in train] == [(2, 1, 2, 32, 32, 3)] * 2
    assert val.frames.shape == (2, 1, 2, 32, 32, 3)
    assert test.frames.shape == (1, 6, 2, 40, 40, 3)
    assert [len(loader) for loader in (data.val_dataloader(), data.test_dataloader())] == [2, 2]


def test_validation_and_test_read_every_video_in_the_order_of_the_list(root):
    data = VideoDataModule(root, **SMALL)
    names = [name for batch in data.val_dataloader() for name in batch.video_id]
    labels = [int(label) for batch in data.val_dataloader() for label in batch.label]
    assert (names, labels) == (["00.mp4", "01.mp4", "02.mp4"], [0, 1, 2])
    assert [name for batch in data.test_dataloader() for name in batch.video_id] == ["00.mp4", "01.mp4"]


def test_validation_is_the_same_at_every_epoch(root):
    loader = VideoDataModule(root, **SMALL).val_dataloader()
    first = torch.cat([batch.frames for batch in loader])
    loader.sampler.set_epoch(5)
    assert torch.equal(torch.cat([batch.frames for batch in loader]), first)


def test_videos_may_stand_in_a_folder_of_their_own(root, tmp_path):
    lists(tmp_path, val_csv="03.mp4,0\n", classes_txt="a\nb\n")
    data = VideoDataModule(tmp_path, videos=root, **SMALL)
    (batch,) = data.val_dataloader()
    assert batch.video_id == ["03.mp4"]


def test_class_names_are_read_from_their_file(root):
    assert VideoDataModule(root).class_names == CLASS_NAMES
    assert VideoDataModule(root, num_classes=3).class_names == CLASS_NAMES


def test_without_a_file_classes_are_numbered_as_many_as_stated_or_found(tmp_path, caplog):
    lists(tmp_path, train_csv="a.mp4,0\nb.mp4,4\n")
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        assert VideoDataModule(tmp_path).class_names == ["0", "1", "2", "3", "4"]
    assert "classes.txt does not exist; classes are numbered 0..4" in caplog.text
    assert VideoDataModule(tmp_path, num_classes=7).class_names == [str(k) for k in range(7)]


def test_a_class_file_that_is_named_must_be_there(tmp_path):
    lists(tmp_path, train_csv="a.mp4,0\nb.mp4,1\n")
    with pytest.raises(AnnotationError, match=r"labls\.txt: no such file; pass the file's path"):
        VideoDataModule(tmp_path, classes=Path("labls.txt")).class_names  # noqa: B018
    lists(tmp_path, names_json='{"a": 1, "b": 0}', val_csv="a.mp4,a\nb.mp4,1\n")
    data = VideoDataModule(tmp_path, classes=Path("names.json"))
    assert data.class_names == ["b", "a"]
    assert [record.label for record in data.records("val")] == [1, 1]


def test_a_number_of_classes_that_contradicts_the_names_is_refused(root):
    with pytest.raises(ValueError, match=r"classes\.txt names 3 classes, but num_classes is 4; drop"):
        VideoDataModule(root, num_classes=4).class_names  # noqa: B018


def test_labels_beyond_the_class_names_are_refused(tmp_path):
    lists(tmp_path, val_csv="a.mp4,0\nb.mp4,2\n", classes_txt="a\nb\n")
    with pytest.raises(AnnotationError, match=r"val\.csv:2: label 2 is out of range; expected 0\.\.1"):
        VideoDataModule(tmp_path, num_workers=0).val_dataloader()


def test_fewer_videos_than_a_batch_are_refused(tmp_path):
    lists(tmp_path, train_csv="a.mp4,0\nb.mp4,1\nc.mp4,1\n")
    with pytest.raises(ValueError, match=r"train\.csv lists 3 videos, fewer than one batch of 4"):
        VideoDataModule(tmp_path, batch_size=4, num_workers=0).train_dataloader()


def as_one_of(data: VideoDataModule, num_processes: int) -> VideoDataModule:
    data.trainer = trainer(world_size=num_processes)  # type: ignore[assignment]
    return data


def trainer(**settings: Any) -> SimpleNamespace:
    """What the data asks of a trainer."""
    whole = {"limit_train_batches": 1.0, "overfit_batches": 0.0, "precision_plugin": Precision()}
    return SimpleNamespace(**{"global_rank": 0, "world_size": 1, "training": False} | whole | settings)


def test_a_process_without_a_validation_video_has_a_batch_of_none(root):
    """So that it is there when the processes put their figures together."""
    data = as_one_of(VideoDataModule(root, **SMALL), num_processes=30)
    data.trainer.global_rank = 29
    for loader in (data.val_dataloader(), data.test_dataloader()):
        (batch,) = loader
        assert len(loader) == 1
        assert (len(batch.frames), batch.video_id) == (0, [])


def test_the_log_says_how_many_videos_wait_for_another_epoch(tmp_path, caplog):
    lists(tmp_path, train_csv="".join(f"{index}.mp4,0\n" for index in range(11)))
    data = as_one_of(VideoDataModule(tmp_path, batch_size=2, num_workers=0), num_processes=2)
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        assert len(data.train_dataloader()) == 2
    assert "each epoch reads 8 of 11 training videos" in caplog.text


def test_loaders_have_the_stated_workers_and_limit_the_time_of_a_video(root):
    settings = SMALL | {"num_workers": 2, "timeout_seconds": 45.0}
    data = VideoDataModule(root, **settings)
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        assert (loader.num_workers, loader.timeout_seconds) == (2, 45.0)
        assert loader.pin_memory == torch.cuda.is_available()
    assert VideoDataModule(root).timeout_seconds == 30.0


def test_by_default_there_are_as_many_workers_as_usable_processors_and_at_most_8(root, monkeypatch):
    for processors, workers in [(3, 3), (64, 8)]:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=processors: set(range(n)), raising=False)
        assert available_workers() == workers
        assert VideoDataModule(root).num_workers == workers


def random_batch() -> ClipBatch:
    frames = torch.randint(0, 256, (4, 1, 2, 8, 8, 3), dtype=torch.uint8)
    return ClipBatch(frames, torch.tensor([0, 1, 2, 0]), ["a", "b", "c", "d"])


def test_batches_on_the_device_are_normalised_with_the_stated_mean_and_deviation(root):
    data = VideoDataModule(root, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), blend=["mixup"])
    clips = random_batch()
    views, target, names, _ = data.on_after_batch_transfer(clips, 0)
    for channel, (mean, std) in enumerate([(0.1, 0.4), (0.2, 0.5), (0.3, 0.6)]):
        expected = (clips.frames[..., channel] / 255 - mean) / std
        torch.testing.assert_close(views[:, :, channel], expected)
    assert torch.equal(target, clips.label)  # blending is for training
    assert names == clips.video_id


@pytest.mark.parametrize("training", [True, False])
def test_clips_are_blended_in_training_only(root, training):
    data = VideoDataModule(root, blend=["mixup"])
    data.trainer = trainer(training=training)  # type: ignore[assignment]
    torch.manual_seed(0)
    target = data.on_after_batch_transfer(random_batch(), 0).target
    assert target.shape == ((4, 3) if training else (4,))


def test_the_transform_goes_where_the_batch_is(root):
    transform = VideoDataModule(root, blend=["cutmix"]).device_transform(training=True).to("meta")
    assert {buffer.device.type for buffer in transform.buffers()} == {"meta"}
    assert isinstance(transform.blend, BlendClips)


def test_the_train_transform_may_be_ones_own(root):
    class TopLeft(FrameTransform):
        def transform(self, frames):
            return frames[..., :20, :20]

    data = VideoDataModule(root, **SMALL | {"train_transform": TopLeft()})
    assert next(iter(data.train_dataloader())).frames.shape == (2, 1, 2, 20, 20, 3)


@pytest.mark.parametrize(
    ("name", "number"),
    [("batch_size", 0), ("test_batch_size", -1), ("num_workers", -1), ("timeout_seconds", float("nan"))],
)
def test_numbers_that_make_no_sense_are_refused(tmp_path, name, number):
    with pytest.raises(ValueError, match=rf"data\.{name} is {number}; expected [01] or more"):
        VideoDataModule(tmp_path, **{name: number})


@pytest.mark.parametrize("settings", [{"blend": Blending()}, {"blend": ["mixup"], "repeats": 2}])
def test_blending_is_refused_where_a_batch_has_one_video(root, settings):
    with pytest.raises(ValueError, match=r"data\.batch_size 1 a batch has one; raise data\.batch_size to 2"):
        VideoDataModule(root, **{**SMALL, "batch_size": 1}, **settings).train_dataloader()


@pytest.mark.parametrize("key", ["augment", "device_augment"])
def test_an_augmentation_that_cannot_be_is_refused_before_a_video_is_read(root, key):
    data = VideoDataModule(root, **SMALL, **{key: [v2.Resize(8)]})
    with pytest.raises(
        ValueError, match=rf"data\.{key}: Resize cannot augment a clip of uint8 \[2, 3, 32, 32\]"
    ):
        data.train_dataloader()


def test_repeats_are_clips_of_the_batch_and_the_log_says_what_the_learning_rate_counts(root, caplog):
    data = VideoDataModule(root, **SMALL, repeats=3)
    with caplog.at_level(logging.INFO):
        batch = next(iter(data.train_dataloader()))
    assert (
        "a process has 6 clips in a batch, of 2 videos, which are what the learning rate counts"
        in caplog.text
    )
    assert batch.frames.shape == (2, 3, 2, 32, 32, 3)
    found = data.device_transform(training=True)(batch)
    assert found.views.shape == (6, 1, 3, 2, 32, 32)
    assert found.video_id == batch.video_id * 3
    # Batch norms are estimated from batches that are not blended: all their views, by the way of evaluation.
    assert data.device_transform(training=False)(batch).views.flatten(0, 1).shape == (6, 3, 2, 32, 32)
