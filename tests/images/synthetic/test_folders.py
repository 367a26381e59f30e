"""What `gcvideo image synthetic` writes: ordinary folders, read back by other libraries."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from torchvision.datasets import ImageFolder

from gcvideo.images.cli.synthetic import run
from gcvideo.images.synthetic.coco import annotation, boundaries
from gcvideo.images.synthetic.folders import class_indices, write_synthetic_pictures
from gcvideo.images.synthetic.scene import Instance, Scene, random_scene
from gcvideo.images.synthetic.shapes import CLASSES

TINY = {"num_train": 20, "num_val": 12, "size": 48}
TASKS = ("classification", "detection", "segmentation")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each task, by the command."""
    root = tmp_path_factory.mktemp("synthetic")
    sizes = [word for name, value in TINY.items() for word in (f"--{name}", str(value))]
    for task in TASKS:
        run(["synthetic", str(root / task), "--task", task, *sizes])
    return {task: root / task for task in TASKS}


def coco(file: Path, capsys: pytest.CaptureFixture[str]) -> COCO:
    opened = COCO(str(file))
    capsys.readouterr()
    return opened


def contents(root: Path) -> dict[Path, bytes]:
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_classes_are_folders_with_as_many_pictures_each_as_come_out_even(tiny: dict[str, Path]) -> None:
    found = ImageFolder(str(tiny["classification"] / "train"))
    assert set(found.classes) == set(CLASSES)
    counts = np.bincount(found.targets)
    assert (counts.sum(), counts.min(), counts.max()) == (20, 3, 4)
    assert all(picture.size == (48, 48) and picture.mode == "RGB" for picture, _ in found)


def test_coco_finds_the_pictures_the_categories_and_all_kinds_of_them(
    tiny: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found = coco(tiny["detection"] / "train.json", capsys)
    assert [found.cats[number]["name"] for number in range(1, 7)] == list(CLASSES)
    kinds = []
    for image in found.dataset["images"]:
        with Image.open(tiny["detection"] / "train" / image["file_name"]) as picture:
            assert (picture.format, picture.size) == ("JPEG", (image["width"], image["height"]))
        crowds = [a["iscrowd"] for a in found.imgToAnns[image["id"]]]
        kinds.append("empty" if not crowds else "crowd" if all(crowds) else "both" if any(crowds) else "")
    assert [kinds.count(kind) for kind in ("empty", "crowd", "both")] == [2, 1, 2]
    forms = {(a["iscrowd"], type(a["segmentation"])) for a in found.dataset["annotations"]}
    assert forms == {(0, list), (0, dict), (1, dict)}


@pytest.mark.parametrize("number", range(20))
def test_pycocotools_reads_the_masks_boxes_and_areas_of_what_is_seen(number: int) -> None:
    scene = random_scene(np.random.default_rng(number), size=48, num_objects=4, crowd=number % 2 == 0)
    reader = COCO()
    reader.imgs = {1: {"height": 48, "width": 48}}
    for instance in scene.instances:
        described = annotation(instance) | {"image_id": 1}
        mask = reader.annToMask(described)
        np.testing.assert_array_equal(mask, instance.visible)
        y, x = np.nonzero(mask)
        assert described["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
        assert described["area"] == mask.sum()


def test_an_outline_goes_round_each_part_and_each_hole() -> None:
    mask = np.array(
        [
            [1, 1, 1, 0, 0],
            [1, 0, 1, 0, 0],
            [1, 1, 1, 0, 0],
            [0, 0, 0, 1, 0],
        ],
        bool,
    )
    found = {tuple(map(tuple, outline.tolist())) for outline in boundaries(mask)}
    assert found == {
        ((0, 0), (3, 0), (3, 3), (0, 3)),
        ((1, 2), (2, 2), (2, 1), (1, 1)),
        ((3, 3), (4, 3), (4, 4), (3, 4)),
    }


def test_a_mask_has_the_class_of_what_is_seen_and_ignores_where_regions_meet() -> None:
    left, right = np.zeros((2, 4, 6), bool)
    left[:3, :2] = right[:3, 2:4] = True
    scene = Scene(np.zeros((4, 6, 3), np.uint8), [Instance(4, left), Instance(4, right)])
    np.testing.assert_array_equal(
        class_indices(scene),
        [
            [5, 255, 5, 255, 0, 0],
            [5, 255, 5, 255, 0, 0],
            [255, 255, 255, 255, 0, 0],
            [0, 0, 0, 0, 0, 0],
        ],
    )


def test_masks_stand_beside_their_pictures_with_classes_by_number(tiny: dict[str, Path]) -> None:
    root = tiny["segmentation"]
    assert (root / "classes.txt").read_text().splitlines() == ["background", *CLASSES]
    seen: set[int] = set()
    for split, num_pictures in (("train", 20), ("val", 12)):
        names = sorted(path.name for path in (root / split / "masks").iterdir())
        assert names == [path.name for path in sorted((root / split / "pictures").iterdir())]
        assert len(names) == num_pictures
        for name in names:
            with Image.open(root / split / "masks" / name) as mask:
                assert (mask.mode, mask.size) == ("L", (48, 48))
                seen |= set(np.unique(np.asarray(mask)).tolist())
    assert seen == {*range(7), 255}


@pytest.mark.parametrize("task", TASKS)
def test_a_picture_depends_on_its_number_and_not_on_how_many_there_are(
    tiny: dict[str, Path], tmp_path: Path, task: str
) -> None:
    write_synthetic_pictures(tmp_path / "few", task=task, num_train=4, num_val=1, size=48)
    few, many = contents(tmp_path / "few"), contents(tiny[task])
    pictures = [path for path in few if path.suffix in (".png", ".jpg")]
    assert pictures
    assert all(few[path] == many[path] for path in pictures)
    write_synthetic_pictures(tmp_path / "other", task=task, num_train=4, num_val=1, size=48, seed=1)
    other = contents(tmp_path / "other")
    assert all(few[path] != other[path] for path in pictures if "masks" not in path.parts)
    assert len({few[path] for path in pictures if "masks" not in path.parts}) == 5


@pytest.mark.parametrize("task", TASKS)
def test_a_second_call_writes_what_is_missing_and_touches_nothing_else(tmp_path: Path, task: str) -> None:
    settings = {"task": task, "num_train": 8, "num_val": 7, "size": 32}
    write_synthetic_pictures(tmp_path, **settings)
    before = contents(tmp_path)
    missing = [sorted(tmp_path.glob("val/**/*.*g"))[-1], sorted(tmp_path.glob("train/**/*.*g"))[0]]
    for path in (*missing, *tmp_path.glob("train.json")):
        path.unlink()
    inodes = {path: path.stat().st_ino for path in tmp_path.rglob("*") if path.is_file()}

    write_synthetic_pictures(tmp_path, **settings)
    assert contents(tmp_path) == before
    assert all(path.stat().st_ino == inode for path, inode in inodes.items())


def test_a_folder_of_other_settings_or_of_other_things_is_refused(
    tiny: dict[str, Path], tmp_path: Path
) -> None:
    before = contents(tiny["detection"])
    with pytest.raises(ValueError, match=r"task=segmentation was asked, .* task=detection; .*another folder"):
        write_synthetic_pictures(tiny["detection"], task="segmentation", **TINY)
    assert contents(tiny["detection"]) == before
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"no dataset\.json; expected a new or an empty folder"):
        write_synthetic_pictures(tmp_path, task="detection")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(("setting", "value"), [("size", 31), ("num_train", 0), ("num_val", 0), ("seed", -1)])
def test_a_setting_out_of_range_is_named(tmp_path: Path, setting: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{setting} is {value}; expected"):
        write_synthetic_pictures(tmp_path / "set", task="detection", **{setting: value})
    assert not (tmp_path / "set").exists()


def test_settings_and_versions_are_written_down(tiny: dict[str, Path]) -> None:
    described = json.loads((tiny["detection"] / "dataset.json").read_text())
    assert described["settings"] == {"task": "detection", **TINY, "seed": 0}
    assert set(described["versions"]) == {"gcvideo", "pillow", "numpy"}
