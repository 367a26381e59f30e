"""COCO's annotation files (cocodataset.org/#format-data): pictures, categories and instances."""

import json
import logging
import pickle
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from pycocotools import mask as run_lengths

from gcvideo.data.lists.rows import AnnotationError
from gcvideo.images.detection.checks import annotation_problems, listing_problems

log = logging.getLogger(__name__)

MOST_NAMED = 3
OVER = 1.0
"""Pixels by which a box may reach over a picture's border: tools round."""


class Category(NamedTuple):
    """A class, and its number in the file."""

    id: int
    name: str


class Instance(NamedTuple):
    """What is annotated of one object, or of a crowd of them."""

    id: int
    category_id: int
    box: tuple[float, float, float, float]
    """x, y, width, height in pixels."""
    segmentation: Any
    """Polygons [[x0, y0, x1, ...], ...], or run lengths {size, counts}."""
    area: float | None
    """Pixels, as the file says."""
    is_crowd: bool

    def mask(self, height: int, width: int) -> UInt8[np.ndarray, "H W"]:
        """Return 1 at the pixels of the object, as pycocotools draws polygons and run lengths."""
        drawn = self.segmentation
        if isinstance(drawn, list):
            drawn = run_lengths.merge(run_lengths.frPyObjects(drawn, height, width))
        elif isinstance(drawn["counts"], list):
            drawn = run_lengths.frPyObjects(drawn, height, width)
        return run_lengths.decode(drawn)

    def clipped(self, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return left, top, right, bottom of what of the box is in the picture; None if nothing is."""
        x, y, box_width, box_height = self.box
        left, top = max(x, 0.0), max(y, 0.0)
        right, bottom = min(x + box_width, float(width)), min(y + box_height, float(height))
        return (left, top, right, bottom) if right > left and bottom > top else None


class Picture(NamedTuple):
    """A picture, and what is annotated in it."""

    id: int
    file_name: str
    height: int
    width: int
    instances: tuple[Instance, ...] = ()


class Pictures(Sequence[Picture]):
    """Pictures in one block of bytes, which loader processes share: touching Python's objects copies them."""

    def __init__(self, pictures: Iterable[Picture]) -> None:
        packed = [pickle.dumps(picture) for picture in pictures]
        self._ends = np.cumsum([len(one) for one in packed])
        self._bytes = np.frombuffer(b"".join(packed), np.uint8)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        begin = self._ends[index - 1] if index else 0
        return pickle.loads(self._bytes[begin : self._ends[index]].tobytes())


class CocoFile:
    """The contents of an annotation file, checked.

    Args:
        file: The file.

    Raises:
        AnnotationError: It is no JSON of COCO's form; or an id stands there twice, an annotation is of a
            picture or category that is not listed, or of no shape.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        found = read_json(file)
        refuse(file, listing_problems(found))
        self.categories = sorted(Category(one["id"], one["name"]) for one in found["categories"])
        refuse(file, annotation_problems(found))
        self.pictures = Pictures(_pictures(found))

    @cached_property
    def category_names(self) -> list[str]:
        """The names of the categories, in the order of their ids."""
        return [category.name for category in self.categories]

    @cached_property
    def id_of_file(self) -> dict[str, int]:
        """The id of every picture, by the name of its file."""
        return {picture.file_name: picture.id for picture in self.pictures}

    def bad_boxes(self) -> Iterator[str]:
        """Yield what is wrong with boxes that have no area, or are not in their pictures."""
        for picture in self.pictures:
            for instance in picture.instances:
                x, y, width, height = instance.box
                over = max(-x, -y, x + width - picture.width, y + height - picture.height)
                if width <= 0 or height <= 0:
                    wrong = "has no area"
                elif instance.clipped(picture.height, picture.width) is None:
                    wrong = "is outside the picture"
                elif over > OVER:
                    wrong = f"reaches {over:g} pixels over its border"
                else:
                    continue
                yield (
                    f"annotation {instance.id} of {picture.file_name} ({picture.width} x {picture.height}): "
                    f"the box [{x:g}, {y:g}, {width:g}, {height:g}] (x, y, width, height) {wrong}"
                )


def read_json(file: Path) -> dict[str, Any]:
    """Return what a JSON file holds.

    Raises:
        AnnotationError: It is not there, is not JSON, or holds something else than COCO's three lists.
    """
    expected = "expected COCO's instances: {images: [...], annotations: [...], categories: [...]}"
    try:
        found = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise AnnotationError(f"{file}: there is no such file; {expected}") from error
    except (ValueError, RecursionError, OSError) as error:
        raise AnnotationError(f"{file}: is not JSON ({error}); {expected}") from error
    if not isinstance(found, dict):
        raise AnnotationError(f"{file}: holds a {type(found).__name__}; {expected}")
    for name in ("images", "annotations", "categories"):
        if not isinstance(found.get(name), list) or not all(isinstance(one, dict) for one in found[name]):
            raise AnnotationError(f"{file}: has no list {name} of objects; {expected}")
    return found


def refuse(file: Path, problems: Iterable[str], *, instead: str = "") -> None:
    """Raise AnnotationError with the first problems, if there are any.

    Args:
        file: Where they are.
        problems: What is wrong.
        instead: What would do.
    """
    found = list(problems)
    if found:
        more = f"\n  and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        listed = "\n  ".join(found[:MOST_NAMED])
        raise AnnotationError(f"{file}: {listed}{more}{'; ' if instead else ''}{instead}")


def _pictures(found: dict[str, Any]) -> Iterator[Picture]:
    """Yield the pictures in the order of their ids, as COCO's evaluation takes them."""
    instances: dict[int, list[Instance]] = {}
    for one in found["annotations"]:
        x, y, width, height = one["bbox"]
        made = Instance(
            one["id"],
            one["category_id"],
            (float(x), float(y), float(width), float(height)),
            one["segmentation"],
            one.get("area"),
            bool(one.get("iscrowd", 0)),
        )
        instances.setdefault(one["image_id"], []).append(made)
    for one in sorted(found["images"], key=lambda one: one["id"]):
        of_picture = tuple(instances.get(one["id"], ()))
        yield Picture(one["id"], one["file_name"], one["height"], one["width"], of_picture)
