"""Synthetic pictures as files, in the form that each task reads."""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gcvideo.atomic import replacing
from gcvideo.data.synthetic import claim_folder, write_if_absent
from gcvideo.images.synthetic.coco import dataset
from gcvideo.images.synthetic.scene import Scene, random_portrait, random_scene
from gcvideo.images.synthetic.shapes import CLASSES
from gcvideo.terminal import progress_bar

Task = Literal["classification", "detection", "segmentation"]
Draw = Callable[[int], Scene]
"""Draws the picture of a number."""

BACKGROUND, IGNORED = 0, 255
"""Of a mask: what is no object, and the border between two regions, which no figure counts."""
SMALLEST_SIZE = 32


def write_synthetic_pictures(
    out: Path, *, task: Task, num_train: int = 600, num_val: int = 120, size: int = 96, seed: int = 0
) -> None:
    """Make a small data set of pictures of shapes: circles, squares, triangles, stars, crosses, rings.

    All shapes cover the same area, in random colours, at random places, on a textured ground: no pixel
    and no colour tells the class. Calling again finishes what an earlier call left undone; a file that exists
    is kept as it is. dataset.json has the settings, and the versions that drew the pictures.

    Written for classification: train/CLASS/NUMBER.png and val likewise, one shape a picture, as many of each
    class as come out even. For detection: train/NUMBER.jpg and train.json, val likewise, as COCO has
    them: boxes and masks of what is seen of one to five shapes, which cover one another. Of ten pictures one
    is empty and one has a crowd; of twenty one has nothing else than a crowd. For segmentation:
    train/pictures/NUMBER.png and train/masks/NUMBER.png, val likewise, with 0 for the ground, 1 to 6 for the
    shapes and 255 for the pixels between two regions; classes.txt, where line i (from 0) names class i.

    Args:
        out: Folder to write to: new, empty, or begun by an earlier call with the same settings.
        task: What the pictures are for.
        num_train: Pictures for training.
        num_val: Pictures for validation.
        size: Height and width of a picture in pixels; at least 32.
        seed: A picture depends on task, size and seed, its split and number, and on no other picture.

    Raises:
        ValueError: A setting is out of range, or out holds something else.
    """
    settings = {"task": task, "num_train": num_train, "num_val": num_val, "size": size, "seed": seed}
    smallest = {"num_train": 1, "num_val": 1, "size": SMALLEST_SIZE, "seed": 0}
    for name, least in smallest.items():
        if settings[name] < least:
            raise ValueError(f"{name} is {settings[name]}; expected a number from {least} on")
    claim_folder(out, settings, packages=("gcvideo", "pillow", "numpy"))
    with progress_bar() as progress:
        for index, (split, num_pictures) in enumerate({"train": num_train, "val": num_val}.items()):
            draw = partial(_draw, task, seed, index, size)
            numbers = progress.track(range(num_pictures), total=num_pictures, description=split)
            WRITERS[task](out, split, numbers, draw)


def _draw(task: Task, seed: int, split: int, size: int, number: int) -> Scene:
    """Draw a picture, which follows from its numbers alone."""
    rng = np.random.default_rng([seed, split, number])
    if task == "classification":
        return random_portrait(rng, number % len(CLASSES), size=size)
    if task == "segmentation":
        return random_scene(rng, size=size, num_objects=int(rng.integers(1, 5)))
    is_empty, is_crowd, is_crowd_alone = number % 10 == 3, number % 10 == 6, number % 20 == 9
    num_objects = 0 if is_empty or is_crowd_alone else int(rng.integers(1, 6))
    return random_scene(rng, size=size, num_objects=num_objects, crowd=is_crowd or is_crowd_alone)


def _write_classes(out: Path, split: str, numbers: Iterable[int], draw: Draw) -> None:
    for number in numbers:
        file = out / split / CLASSES[number % len(CLASSES)] / f"{number:05d}.png"
        if not file.exists():
            _save(file, draw(number).picture)


def _write_coco(out: Path, split: str, numbers: Iterable[int], draw: Draw) -> None:
    """Write pictures and annotations; these come last, and without them every picture is drawn again."""
    annotations = out / f"{split}.json"
    is_annotated = annotations.exists()

    def pictures() -> Iterator[tuple[str, Scene]]:
        for number in numbers:
            file = out / split / f"{number:05d}.jpg"
            if is_annotated and file.exists():
                continue
            scene = draw(number)
            if not file.exists():
                _save(file, scene.picture, quality=95)
            yield file.name, scene

    described = dataset(pictures(), description="shapes, drawn by gcvideo image synthetic")
    write_if_absent(annotations, [json.dumps(described)])


def _write_masks(out: Path, split: str, numbers: Iterable[int], draw: Draw) -> None:
    write_if_absent(out / "classes.txt", ["background", *CLASSES])
    for number in numbers:
        name = f"{number:05d}.png"
        picture, mask = out / split / "pictures" / name, out / split / "masks" / name
        if not (picture.exists() and mask.exists()):
            scene = draw(number)
            for file, pixels in ((picture, scene.picture), (mask, class_indices(scene))):
                if not file.exists():
                    _save(file, pixels)


def class_indices(scene: Scene) -> UInt8[np.ndarray, "H W"]:
    """Return 0 where the ground is seen, 1 to K where a shape is, 255 where a region meets the next.

    A pixel is of the border if the one below or on the right belongs to another object, or to none.
    """
    height, width = scene.picture.shape[:2]
    classes = np.full((height, width), BACKGROUND, np.uint8)
    objects = np.zeros((height, width), int)  # which of them, from 1
    for number, instance in enumerate(scene.instances, start=1):
        classes[instance.visible] = instance.category + 1
        objects[instance.visible] = number
    classes[:-1][objects[:-1] != objects[1:]] = IGNORED
    classes[:, :-1][objects[:, :-1] != objects[:, 1:]] = IGNORED
    return classes


def _save(file: Path, pixels: UInt8[np.ndarray, "H W *rgb"], **settings: int) -> None:
    with replacing(file) as unfinished:
        Image.fromarray(pixels).save(
            unfinished, format={".png": "PNG", ".jpg": "JPEG"}[file.suffix], **settings
        )


WRITERS: dict[Task, Callable[[Path, str, Iterable[int], Draw], None]] = {
    "classification": _write_classes,
    "detection": _write_coco,
    "segmentation": _write_masks,
}
