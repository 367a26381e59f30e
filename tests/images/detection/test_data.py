"""Which pictures are read, in which order, and what is made of them."""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from gcvideo.images.detection import CocoData
from gcvideo.images.detection.order import AspectOrder
from tests.images.detection.coco import example
from tests.images.detection.parts import write_shapes


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes") / "data", num_train=40, num_val=13)


def test_training_leaves_out_crowds_and_pictures_without_annotations(root: Path) -> None:
    annotated = json.loads((root / "train.json").read_text())
    with_annotations = {one["image_id"] for one in annotated["annotations"]}
    whole = Counter(one["image_id"] for one in annotated["annotations"] if not one["iscrowd"])
    data = CocoData(root, num_workers=0)
    items = [data.pictures_of("train", training=True)[index] for index in range(len(with_annotations))]
    assert {item.image_id for item in items} == with_annotations
    assert len(with_annotations) < 40
    for item in items:
        assert len(item.target["boxes"]) == len(item.target["masks"]) == whole[item.image_id]
    assert any(not whole[item.image_id] for item in items)  # a crowd alone
    everything = CocoData(root, num_workers=0, filter_empty=False).pictures_of("train", training=True)
    assert len(everything) == 40
    small = CocoData(root, num_workers=0, smallest_side=49).pictures_of("train", training=True)
    assert len(small) == 0


def test_evaluation_has_everything_as_it_is_annotated(root: Path) -> None:
    annotated = json.loads((root / "val.json").read_text())
    pictures = CocoData(root).pictures_of("val", training=False)
    assert len(pictures) == 13
    for item in map(pictures.__getitem__, range(13)):
        own = [one for one in annotated["annotations"] if one["image_id"] == item.image_id]
        target = item.target
        assert target["area"].tolist() == [one["area"] for one in own]
        assert target["iscrowd"].tolist() == [one["iscrowd"] for one in own]
        assert target["labels"].tolist() == [one["category_id"] for one in own]
        assert target["masks"].sum((1, 2)).tolist() == [one["area"] for one in own]
        assert [[x, y, r - x, b - y] for x, y, r, b in target["boxes"].tolist()] == [
            one["bbox"] for one in own
        ]


def test_labels_count_categories_in_the_order_of_their_ids(tmp_path: Path) -> None:
    example(tmp_path)
    (tmp_path / "train").mkdir()
    for name, size in (("a.png", (60, 40)), ("b.png", (30, 50))):
        Image.new("RGB", size).save(tmp_path / "train" / name)
    data = CocoData(tmp_path, val=Path("train.json"), val_pictures=Path("train"))
    assert data.class_names == ["ant", "zebra"]
    (item,) = [
        one for one in map(data.pictures_of("val", training=False).__getitem__, (0, 1)) if one.image_id == 7
    ]
    assert item.target["labels"].tolist() == [2, 1]
    data = CocoData(tmp_path, val=Path("train.json"), val_pictures=Path("train"))
    data.follow(["zebra", "ant"], checkpoint=Path("best.ckpt"))
    item = data.pictures_of("val", training=False)[1]
    assert item.target["labels"].tolist() == [1, 2]
    assert data.category_ids("val") == [90, 2]


def test_a_flip_turns_pictures_boxes_and_masks_together(root: Path) -> None:
    plain, flipped = (
        CocoData(root, flip_probability=share).pictures_of("train", training=True) for share in (0.0, 1.0)
    )
    for index in range(len(plain)):
        one, other = plain[index], flipped[index]
        assert torch.equal(one.image.flip(-1), other.image)
        assert torch.equal(one.target["masks"].flip(-1), other.target["masks"])
        left, top, right, bottom = one.target["boxes"].unbind(1)
        expected = torch.stack([48 - right, top, 48 - left, bottom], 1)
        assert torch.equal(other.target["boxes"], expected)
        for box, mask in zip(other.target["boxes"].long().tolist(), other.target["masks"], strict=True):
            rows, columns = torch.nonzero(mask, as_tuple=True)
            assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == box


def test_what_augmentation_cuts_away_is_no_instance(root: Path) -> None:
    augment: list[Any] = [v2.CenterCrop(16)]
    pictures = CocoData(root, augment=augment).pictures_of("train", training=True)
    counts = []
    for item in map(pictures.__getitem__, range(len(pictures))):
        boxes, masks = item.target["boxes"], item.target["masks"]
        assert item.image.shape == (3, 16, 16)
        assert len(boxes) == len(masks) == len(item.target["labels"])
        assert masks.flatten(1).any(1).all() or not len(masks)
        assert not len(boxes) or (boxes.min() >= 0 and boxes.max() <= 16)
        counts.append(len(boxes))
    assert 0 < sum(counts) < sum(len(picture.instances) for picture in pictures.annotated)


def test_batches_are_wide_or_high_and_follow_from_seed_and_epoch() -> None:
    is_wide = np.random.default_rng(0).random(101) < 0.7
    shares = []
    for rank in (0, 1):
        order = AspectOrder(
            is_wide, batch_size=4, shuffle=True, even=True, seed=3, rank=rank, num_processes=2
        )
        order.set_epoch(5)
        indices = order.indices()
        shares += indices.tolist()
        whole = [{bool(is_wide[index]) for index in batch.tolist()} for batch in indices.split(4)]
        assert [len(kinds) for kinds in whole[:-2]] == [1] * (len(whole) - 2)
        again = AspectOrder(
            is_wide, batch_size=4, shuffle=True, even=True, seed=3, rank=rank, num_processes=2
        )
        again.set_epoch(5)
        assert torch.equal(again.indices(), indices)
        again.set_epoch(6)
        assert not torch.equal(again.indices(), indices)
    assert len(shares) == len(set(shares)) == 100


@pytest.mark.parametrize("num_processes", [1, 2, 3])
def test_ranks_share_the_pictures_of_an_evaluation(root: Path, num_processes: int) -> None:
    read = []
    for rank in range(num_processes):
        data = CocoData(root, num_workers=0, batch_size=2)
        data.trainer = _trainer(rank, num_processes)
        read += [name for batch in data.val_dataloader() for name in batch.names]
    assert sorted(read) == sorted(
        one["file_name"] for one in json.loads((root / "val.json").read_text())["images"]
    )


def _trainer(rank: int, num_processes: int) -> Any:
    return SimpleNamespace(
        global_rank=rank, world_size=num_processes, limit_train_batches=1.0, overfit_batches=0.0
    )
