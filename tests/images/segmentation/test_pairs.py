"""Pictures and masks: read as they are, moved together, and refused by name."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors

from gcvideo.images.segmentation import MaskFolderData
from gcvideo.images.segmentation.batch import IGNORED, Segmented, collate
from gcvideo.images.segmentation.drawing import palette, save_classes, save_overlay
from gcvideo.images.segmentation.pairs import FilePictures, read_mask
from gcvideo.images.segmentation.transforms import RandomScale, random_crops


def write_pair(root: Path, name: str, classes: np.ndarray) -> None:
    """Write a training picture whose red is 40 times the class, and its mask."""
    red = np.where(classes == IGNORED, 0, classes.astype(int) * 40).astype(np.uint8)
    picture = np.stack([red, np.zeros_like(red), 255 - red], axis=-1)
    for kind, pixels in (("pictures", picture), ("masks", classes.astype(np.uint8))):
        file = root / "train" / kind / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    classes = np.arange(20).reshape(4, 5) % 3
    classes[0, 0] = IGNORED
    for name in ("b/2", "a", "b/10"):
        write_pair(tmp_path, name, classes)
    (tmp_path / "classes.txt").write_text("ground\nsquare\nring\n")
    return tmp_path


def data_of(root: Path, **settings) -> MaskFolderData:
    return MaskFolderData(root, batch_size=1, num_workers=0, **settings)


def first_of(root: Path, **settings) -> Segmented:
    return data_of(root, **settings).pictures_of("train", training=False)[0]


def test_pictures_are_read_with_their_masks_in_the_order_of_their_names(root: Path) -> None:
    data = data_of(root)
    pictures = data.pictures_of("train", training=False)
    assert data.class_names == ["ground", "square", "ring"]
    assert pictures.names == ["a", "b/10", "b/2"]
    item = pictures[0]
    assert (type(item.image), item.image.dtype, item.classes.dtype) == (Tensor, torch.uint8, torch.uint8)
    assert torch.equal(item.image[0][1:], item.classes[1:] * 40)
    assert item.classes[0].tolist() == [IGNORED, 1, 2, 0, 1]


def test_masks_with_a_palette_of_one_bit_or_of_sixteen_have_the_same_classes(root: Path) -> None:
    file = root / "train" / "masks" / "a.png"
    expected = read_mask(file)
    with_palette = Image.fromarray(expected)
    with_palette.putpalette([7, 8, 9] * 256)
    with_palette.save(file)
    np.testing.assert_array_equal(read_mask(file), expected)
    Image.fromarray(expected.astype(np.uint16)).save(file)
    np.testing.assert_array_equal(read_mask(file), expected)
    Image.fromarray(expected == 1).save(file)
    np.testing.assert_array_equal(read_mask(file), expected == 1)


def test_labels_may_begin_at_one_and_another_may_be_ignored(root: Path) -> None:
    write_pair(root, "0", np.arange(20).reshape(4, 5) % 4)
    with pytest.raises(ValueError, match=r"masks/0\.png: 5 pixels have the label 3; expected 0 to 2"):
        first_of(root)
    classes = first_of(root, first_label=1, ignore_label=0).classes
    expected = torch.tensor([IGNORED, 0, 1, 2], dtype=torch.uint8)[torch.arange(20).reshape(4, 5) % 4]
    assert torch.equal(classes, expected)


def test_classes_take_the_numbers_of_the_network_that_is_followed(root: Path) -> None:
    data = data_of(root)
    data.follow(["ring", "ground", "square"], checkpoint=Path("best.ckpt"))
    found, own = data.pictures_of("train", training=False)[0].classes, first_of(root).classes
    assert [found[own == label].unique().item() for label in (0, 1, 2, IGNORED)] == [1, 2, 0, IGNORED]


def test_what_cannot_be_used_is_refused_by_name(root: Path) -> None:
    masks, pictures = root / "train" / "masks", root / "train" / "pictures"
    content = (masks / "a.png").read_bytes()
    (masks / "a.png").unlink()
    with pytest.raises(
        ValueError, match=r"1 of the 3 files in .*pictures have no mask .*\(a\).*masks/a\.png"
    ):
        first_of(root)
    (masks / "a.png").write_bytes(content)
    (masks / "c.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"1 of the 4 files in .*masks have no picture .*\(c\)"):
        first_of(root)
    (masks / "c.png").unlink()
    (pictures / "a.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.jpg and .*a\.png have one name"):
        first_of(root)
    (pictures / "a.jpg").unlink()
    with pytest.raises(ValueError, match=r"val/pictures: there is no picture there; expected train/pictures"):
        data_of(root).pictures_of("val", training=False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda pixels: pixels + 1, r"masks/a\.png: \d+ pixels have the label 3; expected 0 to 2, or 255 to"),
        (lambda pixels: pixels[:, :4], r"masks/a\.png has 4 x 4 pixels, and .*pictures/a\.png 4 x 5"),
        (lambda pixels: np.stack([pixels] * 3, axis=-1), r"masks/a\.png: its pixels are colours \(RGB\)"),
        (lambda pixels: pixels.astype(np.uint16) + 300, r"masks/a\.png: .* label 300, 301, 302 and 1 more"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_by_name(root: Path, change, said: str) -> None:
    file = root / "train" / "masks" / "a.png"
    Image.fromarray(change(read_mask(file))).save(file)
    with pytest.raises(ValueError, match=said):
        first_of(root)


@pytest.mark.parametrize("kind", ["pictures", "masks"])
@pytest.mark.parametrize("content", [b"no picture", None])
def test_a_broken_file_is_refused_by_name(root: Path, kind: str, content: bytes | None) -> None:
    file = root / "train" / kind / "a.png"
    file.write_bytes(content or file.read_bytes()[:-30])
    with pytest.raises(ValueError, match=rf"{kind}/a\.png: .*"):
        first_of(root)


def test_class_names_and_settings_that_cannot_be_are_refused(root: Path) -> None:
    (root / "classes.txt").write_text("ground\nring\nring\n")
    with pytest.raises(ValueError, match=r"classes\.txt names 'ring' twice"):
        _ = data_of(root).class_names
    (root / "classes.txt").write_text("ground\n")
    with pytest.raises(ValueError, match=r"classes\.txt names 1 classes; expected 2 to 255"):
        _ = data_of(root).class_names
    for settings, said in (
        ({"min_scale": 2.0, "max_scale": 1.0}, r"min_scale is 2.0 and data.max_scale 1.0"),
        ({"ignore_label": 256}, r"ignore_label is 256; expected 0 to 255"),
        ({"crop_size": 0}, r"crop_size is 0"),
    ):
        with pytest.raises(ValueError, match=said):
            data_of(root, **settings)


def moved_together(image: Tensor, classes: Tensor) -> None:
    """The picture's red says the class wherever the mask counts."""
    counts = classes != IGNORED
    assert torch.equal(image[0][counts], classes[counts] * 40)


def test_crop_and_flip_move_picture_and_mask_together_and_fill_with_what_does_not_count() -> None:
    classes = torch.randint(4, (9, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    image = torch.stack([classes * 40, classes, classes])
    transform = random_crops(16, scales=(1.0, 1.0), flip_probability=0.5, fill=[200, 201, 202], augment=[])
    starts = set()
    for seed in range(20):
        torch.manual_seed(seed)
        cut, mask = transform(tv_tensors.Image(image), tv_tensors.Mask(classes))
        assert (cut.shape, mask.shape) == ((3, 16, 16), (16, 16))
        moved_together(cut, mask)
        filled = mask == IGNORED
        assert filled.sum() == 7 * 16
        assert cut[:, filled].unique(dim=1).flatten().tolist() == [200, 201, 202]
        starts.add((filled[0, 0].item(), tuple(mask[8].tolist())))
    assert len(starts) > 15


def test_scale_is_drawn_from_its_range_and_takes_the_nearest_class() -> None:
    classes = torch.zeros(20, 40, dtype=torch.uint8)
    classes[:10] = 2
    heights = set()
    for seed in range(40):
        torch.manual_seed(seed)
        image, mask = RandomScale(0.5, 2.0)(
            tv_tensors.Image(torch.stack([classes * 40] * 3)), tv_tensors.Mask(classes)
        )
        height, width = mask.shape
        assert image.shape == (3, height, width)
        assert abs(width - 2 * height) <= 1
        assert set(mask.unique().tolist()) == {0, 2}
        assert abs((mask == 2).float().mean().item() - 0.5) <= 1 / height
        inside = torch.arange(height).sub(height / 2).abs() > 2  # off the edge, which is blurred
        moved_together(image[:, inside], mask[inside])
        heights.add(height)
    assert (min(heights), max(heights)) == (pytest.approx(10, abs=2), pytest.approx(40, abs=2))


def test_a_batch_has_one_group_of_every_size_and_no_picture_is_filled_up() -> None:
    shapes = [(4, 6), (8, 8), (4, 6), (2, 9)]
    items = [
        Segmented(
            torch.full((3, *shape), n, dtype=torch.uint8), torch.full(shape, n, dtype=torch.uint8), f"{n}", ""
        )
        for n, shape in enumerate(shapes)
    ]
    batch = collate(items)
    assert batch.names == ["3", "0", "2", "1"]
    assert [tuple(group.images.shape) for group in batch.groups] == [(1, 3, 2, 9), (2, 3, 4, 6), (1, 3, 8, 8)]
    numbers = [int(classes[0, 0]) for group in batch.groups for classes in group.classes]
    assert [str(number) for number in numbers] == batch.names


def test_pictures_of_one_name_are_written_under_different_ones(tmp_path: Path) -> None:
    files = [tmp_path / "x" / name for name in ("a.png", "a.jpg", "y/a.png", "b.png")]
    assert FilePictures(files).stems == ["a.png", "a.jpg", "y/a", "b"]
    assert FilePictures(files[:1]).stems == ["a"]


def test_classes_are_written_as_indices_that_viewers_show_in_colours(tmp_path: Path) -> None:
    classes = torch.tensor([[0, 1], [2, 254]], dtype=torch.uint8)
    save_classes(classes, tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), classes.numpy())
    with Image.open(tmp_path / "mask.png") as shown:
        colours = np.asarray(shown.convert("RGB"))
    assert colours[:, :, :].reshape(-1, 3)[:3].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0]]  # PASCAL VOC
    assert len({tuple(colour) for colour in palette().tolist()}) == 256

    picture = np.full((2, 2, 3), 100, np.uint8)
    save_overlay(picture, classes, tmp_path / "overlay.png")
    drawn = np.asarray(Image.open(tmp_path / "overlay.png"))
    assert drawn[0, 0].tolist() == [100, 100, 100]
    assert drawn[0, 1].tolist() == [round(0.4 * 100 + 0.6 * 128), 40, 40]
