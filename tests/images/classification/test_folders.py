"""Folders of pictures: their classes, their order, and what is wrong with them."""

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.models import ResNet18_Weights

from gcvideo.images.classification import ImageFolderData
from tests.images.shapes import write_shapes

SHAPES = ["circle", "cross", "ring", "square", "star", "triangle"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes") / "data", num_train=12, num_val=8)


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "data")


def data(root: Path, **settings) -> ImageFolderData:
    return ImageFolderData(
        root, crop_size=32, resize_size=36, **{"batch_size": 3, "num_workers": 0, **settings}
    )


def read(loader, epoch: int = 0) -> list[tuple[str, int, torch.Tensor]]:
    loader.sampler.set_epoch(epoch)
    return [
        item
        for batch in loader
        for item in zip(batch.names, batch.labels.tolist(), batch.images, strict=True)
    ]


def test_a_picture_has_the_label_of_its_folder_by_name_whatever_order_a_network_has(root: Path) -> None:
    assert data(root).class_names == SHAPES
    for order in (SHAPES, SHAPES[::-1]):
        module = data(root)
        module.follow(order, checkpoint=Path("best.ckpt"))
        assert module.class_names == order
        for loader in (module.train_dataloader(), module.val_dataloader()):
            assert {order[label] == name.split("/")[0] for name, label, _ in read(loader)} == {True}


def test_where_no_training_folder_tells_the_classes_they_are_the_checkpoints(root: Path) -> None:
    shutil.rmtree(root / "train")
    shutil.rmtree(root / "val" / "circle")
    module = data(root)
    module.follow(SHAPES, checkpoint=Path("best.ckpt"))
    assert {name.split("/")[0] for name, label, _ in read(module.test_dataloader()) if label == 5} == {
        "triangle"
    }


def test_other_classes_than_the_checkpoints_are_refused_by_name(root: Path) -> None:
    module = data(root)
    module.follow([*SHAPES[1:], "hexagon"], checkpoint=Path("best.ckpt"))
    with pytest.raises(ValueError, match=r"only in the data 'circle', only in the checkpoint 'hexagon'"):
        _ = module.class_names


def test_an_epoch_reads_every_picture_once_and_draws_alike_wherever_it_begins(root: Path) -> None:
    whole_epoch = read(data(root).train_dataloader(), epoch=3)
    assert len({name for name, _, _ in whole_epoch}) == 12
    loader = data(root, num_workers=1).train_dataloader()
    loader.skip(2)
    rest = read(loader, epoch=3)
    assert [name for name, _, _ in rest] == [name for name, _, _ in whole_epoch[6:]]
    assert all(torch.equal(a[2], b[2]) for a, b in zip(rest, whole_epoch[6:], strict=True))
    other = read(data(root).train_dataloader(), epoch=4)
    assert [name for name, _, _ in other] != [name for name, _, _ in whole_epoch]


def test_reading_leaves_the_generator_of_the_network_alone(root: Path) -> None:
    state = torch.get_rng_state()
    read(data(root).train_dataloader())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_picture_is_cut_and_normalised_as_torchvision_evaluates(root: Path) -> None:
    file = root / "val" / "star" / "wide.png"
    Image.effect_noise((301, 217), 80).convert("RGB").save(file)
    module = ImageFolderData(root, num_workers=0, batch_size=8)
    for batch in module.val_dataloader():
        batch = module.on_after_batch_transfer(batch, 0)
        for name, image in zip(batch.names, batch.images, strict=True):
            if name == "star/wide.png":
                expected = ResNet18_Weights.IMAGENET1K_V1.transforms()(Image.open(file))
                assert torch.allclose(image, expected, atol=1e-5)
                return
    raise AssertionError("the picture was not read")


def cut_short(root: Path) -> None:
    file = next((root / "train" / "star").iterdir())
    file.write_bytes(file.read_bytes()[:200])


def no_picture(root: Path) -> None:
    next((root / "train" / "star").iterdir()).write_text("a page of the web")


def no_training_folder(root: Path) -> None:
    shutil.rmtree(root / "train")
    shutil.rmtree(root / "val")


def pictures_beside_the_classes(root: Path) -> None:
    for folder in list((root / "train").iterdir()):
        for file in folder.iterdir():
            file.rename(root / "train" / f"{folder.name}{file.name}")
        folder.rmdir()


def an_empty_class(root: Path) -> None:
    (root / "train" / "zigzag").mkdir()


def a_class_of_validation_alone(root: Path) -> None:
    (root / "val" / "star").rename(root / "val" / "hexagon")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut_short, r"train/star/\d+.png: cannot be read: .*; fetch it again, or drop it"),
        (no_picture, r"train/star/\d+.png: is no picture that Pillow can read"),
        (no_training_folder, r"data/val: there is no such folder; expected folders of pictures in it"),
        (pictures_beside_the_classes, r"data/train: has no folders; expected folders of pictures"),
        (an_empty_class, r"has no picture of 1 classes \(zigzag\); expected some in each"),
        (a_class_of_validation_alone, r"val has folders of 1 unknown classes \(hexagon\); expected only 6"),
    ],
)
def test_what_is_wrong_with_folders_is_said_by_name(root: Path, spoil, said: str) -> None:
    spoil(root)

    def read_all() -> None:
        module = data(root)
        read(module.train_dataloader())
        read(module.val_dataloader())

    with pytest.raises(ValueError, match=said):
        read_all()


def test_files_that_are_no_pictures_and_classes_that_are_not_validated_are_counted(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "val" / "ring" / "notes.txt").write_text("none")
    shutil.rmtree(root / "val" / "star")
    read(data(root).val_dataloader())
    assert "val has no picture of 1 classes (star)" in caplog.text
    assert "1 files that are not named as pictures are left out" in caplog.text
