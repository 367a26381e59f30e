"""What annotation files are refused for, each by the name of what is wrong."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as run_lengths

from gcvideo.data.lists.rows import AnnotationError
from gcvideo.images.detection import CocoData
from gcvideo.images.detection.annotations import CocoFile
from tests.images.detection.coco import example

BOX = {"bbox": [10, 10, 20, 10], "iscrowd": 0, "segmentation": [[10, 10, 30, 10, 30, 20]]}


def annotation(**changes: Any) -> dict[str, list[dict[str, Any]]]:
    return {"annotations": [{"id": 1, "image_id": 7, "category_id": 90, **BOX, **changes}]}


def picture(**changes: Any) -> dict[str, list[dict[str, Any]]]:
    return {"images": [{"id": 7, "file_name": "a.png", "height": 40, "width": 60, **changes}]}


TWO_ANTS = [{"id": 1, "name": "ant"}, {"id": 2, "name": "ant"}]
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown picture": (
        annotation(image_id=8),
        "annotation 1 is of picture 8, which is not among the 2 images",
    ),
    "an unlisted category": (
        annotation(category_id=4),
        "annotation 1 of a.png: its category is 4; categories lists 2, 90",
    ),
    "no category": (
        {"categories": []},
        "names no category",
    ),
    "an id twice": (
        {"annotations": 2 * annotation()["annotations"]},
        "annotation: id 1 stands there 2 times",
    ),
    "a picture's id twice": (
        {"images": 2 * picture()["images"]},
        "picture: id 7 stands there 2 times",
    ),
    "a category twice": (
        {"categories": TWO_ANTS},
        "name 'ant' stands there 2 times",
    ),
    "an id that is none": (
        annotation(id="one"),
        "annotation 0 of the list: id is 'one'; expected a number",
    ),
    "a picture without size": (
        picture(height=None),
        "picture 7 (a.png): height is None; expected pixels",
    ),
    "a box of three": (
        annotation(bbox=[1, 2, 3]),
        "bbox is [1, 2, 3]; expected [x, y, width, height]",
    ),
    "a box that is not finite": (
        annotation(bbox=[1, 2, 3, float("nan")]),
        "expected [x, y, width, height]",
    ),
    "no segmentation": (
        annotation(segmentation=[]),
        "its segmentation is []; expected polygons or run lengths",
    ),
    "a line": (
        annotation(segmentation=[[1, 2, 3, 4]]),
        "a polygon of it is not",
    ),
    "run lengths of another size": (
        annotation(segmentation={"size": [60, 40], "counts": [2400]}),
        "of size [60, 40]; expected that of the picture, [40, 60]",
    ),
    "run lengths that end early": (
        annotation(segmentation={"size": [40, 60], "counts": [5, 6]}),
        "do not sum to 40 * 60 pixels",
    ),
    "crowds of two": (
        annotation(iscrowd=2),
        "iscrowd is 2; expected 0 or 1",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(name: str, tmp_path: Path) -> None:
    changes, said = WRONG[name]
    with pytest.raises(AnnotationError, match=f"train.json: .*{re.escape(said)}"):
        CocoFile(example(tmp_path, **changes))


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "is not JSON"), ("[]", "holds a list"), ('{"images": []}', "has no list annotations of objects")],
)
def test_files_that_are_not_coco_are_refused(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "train.json"
    file.write_text(text)
    with pytest.raises(AnnotationError, match=f"train.json: {said}.*images.*annotations.*categories"):
        CocoFile(file)
    with pytest.raises(AnnotationError, match=r"none\.json: there is no such file"):
        CocoFile(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ([10, 10, 0, 10], "has no area"),
        ([10, 10, -5, 10], "has no area"),
        ([60, 10, 5, 10], "is outside the picture"),
        ([-9, -9, 9, 9], "is outside the picture"),
        ([50, 10, 12.5, 10], "reaches 2.5 pixels over its border"),
        ([10, -3, 12, 10], "reaches 3 pixels over its border"),
    ],
)
def test_boxes_that_are_not_in_their_picture_are_refused_or_dropped(
    box: list[float], said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry = {**annotation(bbox=box)["annotations"][0], "id": 5}
    example(tmp_path, annotations=[*annotation()["annotations"], entry])
    _save_pictures(tmp_path)
    data = CocoData(tmp_path, val=Path("train.json"), val_pictures=Path("train"), num_workers=0)
    message = f"annotation 5 of a.png (60 x 40): the box [{', '.join(f'{side:g}' for side in box)}]"
    with pytest.raises(AnnotationError, match=f"{re.escape(message)}.*{said}; mend them"):
        data.pictures_of("train", training=True)

    data = CocoData(
        tmp_path, val=Path("train.json"), val_pictures=Path("train"), num_workers=0, bad_boxes="drop",
        flip_probability=0.0,
    )  # fmt: skip
    trained = data.pictures_of("train", training=True)[0].target
    assert "1 boxes have no area or are not in their pictures" in caplog.text
    x, y, width, height = box
    inside = [max(x, 0), max(y, 0), min(x + width, 60), min(y + height, 40)]
    cut = [inside] if inside[2] > inside[0] and inside[3] > inside[1] else []
    assert trained["boxes"].tolist() == [[10, 10, 30, 20], *cut]
    assert len(trained["masks"]) == len(trained["labels"]) == len(trained["boxes"])
    counted = data.pictures_of("val", training=False)[1].target
    assert counted["boxes"].tolist() == [[10, 10, 30, 20], [x, y, x + width, y + height]]


def test_boxes_may_reach_a_pixel_over_the_border(tmp_path: Path) -> None:
    file = CocoFile(example(tmp_path, **annotation(bbox=[50.5, 0, 10, 40.25])))
    assert list(file.bad_boxes()) == []


def test_masks_are_those_that_pycocotools_draws(tmp_path: Path) -> None:
    triangle = [[2.5, 3.0, 40.0, 8.5, 20.0, 30.0], [41.0, 2.0, 58.0, 2.0, 58.0, 12.0, 41.0, 12.0]]
    entries = [{"id": 1, "image_id": 7, "category_id": 2, **BOX, "segmentation": triangle}]
    mask = np.zeros((40, 60), np.uint8)
    mask[3:20, 5:9] = 1
    packed = run_lengths.encode(np.asfortranarray(mask))
    counts = [5 * 40 + 3, *([17, 23] * 3), 17]
    for counted in (packed["counts"].decode(), [*counts, 40 * 60 - sum(counts)]):
        drawn = {"size": [40, 60], "counts": counted}
        entries.append(
            {"id": len(entries) + 1, "image_id": 7, "category_id": 2, **BOX, "segmentation": drawn}
        )
    found = CocoFile(example(tmp_path, annotations=entries)).pictures[1].instances
    both = run_lengths.decode(run_lengths.frPyObjects(triangle, 40, 60))
    assert np.array_equal(found[0].mask(40, 60), both.max(axis=2))
    assert np.array_equal(found[1].mask(40, 60), mask)
    assert np.array_equal(found[2].mask(40, 60), mask)


def test_pictures_that_are_broken_missing_or_of_another_size_are_named(tmp_path: Path) -> None:
    example(tmp_path)
    data = CocoData(tmp_path, num_workers=0, filter_empty=False, smallest_side=1)
    with pytest.raises(
        AnnotationError, match=r"train\.json: picture .*b\.png is not there\n.*a\.png is not there"
    ):
        data.pictures_of("train", training=True)
    _save_pictures(tmp_path)
    (tmp_path / "train" / "a.png").write_bytes((tmp_path / "train" / "a.png").read_bytes()[:80])
    with pytest.raises(ValueError, match=r"train/a\.png: cannot be read"):
        data.pictures_of("train", training=True)[1]
    Image.new("RGB", (40, 60)).save(tmp_path / "train" / "a.png")
    with pytest.raises(ValueError, match=r"train/a\.png: is 40 x 60 pixels, and its annotation says 60 x 40"):
        data.pictures_of("train", training=True)[1]


def test_categories_that_training_lacks_are_refused(tmp_path: Path) -> None:
    file = example(tmp_path)
    found = json.loads(file.read_text())
    found["categories"][0]["name"] = "gnu"
    (tmp_path / "val.json").write_text(json.dumps(found))
    with pytest.raises(AnnotationError, match=r"val\.json: .*only here are 'gnu', only there 'zebra'"):
        CocoData(tmp_path).pictures_of("val", training=False)


def _save_pictures(root: Path) -> None:
    (root / "train").mkdir()
    for name, size in (("a.png", (60, 40)), ("b.png", (30, 50))):
        noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).save(root / "train" / name)
