"""What may be wrong with the entries of a COCO file, each in words that name the entry."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any


def listing_problems(found: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the lists of pictures and categories."""
    for name, one in (("images", "picture"), ("categories", "category")):
        entries = found[name]
        yield from _wrong_ids(entries, one)
        label = "file_name" if name == "images" else "name"
        for entry in entries:
            if not isinstance(entry.get(label), str) or not entry[label]:
                yield f"{one} {entry.get('id')}: {label} is {entry.get(label)!r}; expected a name"
        yield from _twice([entry.get(label) for entry in entries], f"{one}: {label}")
    for entry in found["images"]:
        for side in ("height", "width"):
            if not _is_int(entry.get(side)) or entry[side] < 1:
                yield (
                    f"picture {entry.get('id')} ({entry.get('file_name')}): {side} is {entry.get(side)!r}; "
                    "expected pixels"
                )
    if not found["categories"]:
        yield "names no category"


def annotation_problems(found: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with annotations, of pictures and categories that are right."""
    pictures = {entry["id"]: entry for entry in found["images"]}
    categories = {entry["id"] for entry in found["categories"]}
    yield from _wrong_ids(found["annotations"], "annotation")
    for entry in found["annotations"]:
        picture = pictures.get(entry["image_id"]) if _is_int(entry.get("image_id")) else None
        if picture is None:
            yield (
                f"annotation {entry.get('id')} is of picture {entry.get('image_id')!r}, which is not among "
                f"the {len(pictures)} images"
            )
            continue
        where = f"annotation {entry.get('id')} of {picture['file_name']}"
        if not _is_int(entry.get("category_id")) or entry["category_id"] not in categories:
            listed = ", ".join(map(str, sorted(categories)[:8])) + (", ..." if len(categories) > 8 else "")
            yield (f"{where}: its category is {entry.get('category_id')!r}; categories lists {listed}")
        if not _are_numbers(entry.get("bbox")) or len(entry["bbox"]) != 4:
            yield f"{where}: bbox is {entry.get('bbox')!r}; expected [x, y, width, height]"
        if entry.get("iscrowd", 0) not in (0, 1):
            yield f"{where}: iscrowd is {entry['iscrowd']!r}; expected 0 or 1"
        if "area" in entry and not _are_numbers([entry["area"]]):
            yield f"{where}: area is {entry['area']!r}; expected pixels"
        if (wrong := _wrong_segmentation(entry.get("segmentation"), picture)) is not None:
            yield f"{where}: {wrong}"


def _wrong_segmentation(drawn: Any, picture: dict[str, Any]) -> str | None:
    """Return what is wrong with polygons or run lengths; None if nothing is."""
    size = [picture["height"], picture["width"]]
    if isinstance(drawn, dict):
        if list(drawn.get("size", ())) != size:
            return f"its run lengths are of size {drawn.get('size')}; expected that of the picture, {size}"
        counts = drawn.get("counts")
        if isinstance(counts, list):
            if not all(_is_int(count) and count >= 0 for count in counts) or sum(counts) != size[0] * size[1]:
                return f"its run lengths do not sum to {size[0]} * {size[1]} pixels"
        elif not isinstance(counts, str) or not counts:
            return "its run lengths have no counts, a list or a string"
        return None
    if not isinstance(drawn, list) or not drawn:
        return (
            f"its segmentation is {drawn!r}; expected polygons or run lengths, which masks are learned from"
        )
    for polygon in drawn:
        if not _are_numbers(polygon) or len(polygon) < 6 or len(polygon) % 2:
            return "a polygon of it is not [x0, y0, x1, y1, x2, y2, ...] with three vertices or more"
    return None


def _wrong_ids(entries: Sequence[dict[str, Any]], one: str) -> Iterator[str]:
    for place, entry in enumerate(entries):
        if not _is_int(entry.get("id")):
            yield f"{one} {place} of the list: id is {entry.get('id')!r}; expected a number"
    yield from _twice([entry.get("id") for entry in entries], f"{one}: id")


def _twice(values: Sequence[Any], what: str) -> Iterator[str]:
    for value, count in Counter(map(repr, values)).items():
        if count > 1:
            yield f"{what} {value} stands there {count} times"


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, int | float) and math.isfinite(value) for value in values
    )
