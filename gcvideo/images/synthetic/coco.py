"""Instances as COCO writes them: boxes, polygons, run lengths.

The format is that of cocodataset.org/#format-data: boxes are [x, y, width, height], polygons [x0, y0, x1,
...] along the edges of pixels, and run lengths count the pixels of columns, the first of them outside.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from gcvideo.images.synthetic.scene import Instance, Scene
from gcvideo.images.synthetic.shapes import CLASSES, signed_area

Edge = tuple[int, int, int, int]
"""A side of a pixel, walked with the pixel on the right hand: x and y of its begin, dx and dy."""


def dataset(pictures: Iterable[tuple[str, Scene]], *, description: str) -> dict[str, Any]:
    """Return the contents of a COCO file, from file names and scenes; ids count from 1."""
    annotations: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    for number, (file_name, scene) in enumerate(pictures, start=1):
        height, width = scene.picture.shape[:2]
        images.append({"id": number, "file_name": file_name, "height": height, "width": width})
        for instance in scene.instances:
            annotations.append({"id": len(annotations) + 1, "image_id": number, **annotation(instance)})
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, start=1)]
    return {
        "info": {"description": description},
        "categories": categories,
        "images": images,
        "annotations": annotations,
    }


def annotation(instance: Instance) -> dict[str, Any]:
    """Return what COCO says of an instance: of what is seen of it, as people annotate pictures.

    A crowd, and what has a hole, is written as run lengths; all else as a polygon for every part of it.
    """
    mask = instance.visible
    outlines = boundaries(mask)
    has_hole = any(signed_area(outline.astype(float)) < 0 for outline in outlines)
    as_runs = has_hole or instance.is_crowd
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return {
        "category_id": instance.category + 1,
        "bbox": [int(x), int(y), int(right - x), int(bottom - y)],
        "area": int(mask.sum()),
        "iscrowd": int(instance.is_crowd),
        "segmentation": run_lengths(mask) if as_runs else [outline.ravel().tolist() for outline in outlines],
    }


def run_lengths(mask: Bool[np.ndarray, "H W"]) -> dict[str, list[int]]:
    """Return the lengths of runs outside and inside in turn, down one column after another."""
    pixels = mask.T.ravel()
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    counts = np.diff(changes, prepend=0, append=len(pixels)).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if pixels[0] else counts}


def boundaries(mask: Bool[np.ndarray, "H W"]) -> list[Int[np.ndarray, "vertices 2"]]:
    """Return the outlines (x, y) of the 4-connected parts, clockwise, and of their holes, the other way.

    They run between pixels, so that what they enclose are the mask's pixels exactly.
    """
    edges = dict.fromkeys(_edges(mask))  # which, unlike a set, has an order
    outlines = []
    while edges:
        first = next(iter(edges))
        walked = [first]
        while (edge := _edge_behind(walked[-1], edges)) != first:
            walked.append(edge)
        for edge in walked:
            del edges[edge]
        in_front = [walked[-1], *walked]
        turns = [edge[:2] for before, edge in zip(in_front, walked, strict=False) if before[2:] != edge[2:]]
        outlines.append(np.array(turns))
    return outlines


def _edges(mask: Bool[np.ndarray, "H W"]) -> list[Edge]:
    """Return the sides of pixels of the mask beyond which it ends."""
    around = np.pad(mask, 1)
    height, width = mask.shape
    edges: list[Edge] = []
    for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1)):  # above a pixel, right of it, below, left
        beyond_x, beyond_y = dy, -dx
        beyond = around[1 + beyond_y : 1 + beyond_y + height, 1 + beyond_x : 1 + beyond_x + width]
        rows, columns = np.nonzero(mask & ~beyond)
        begin_x, begin_y = columns + (dx < 0 or dy > 0), rows + (dx < 0 or dy < 0)
        edges += [(x, y, dx, dy) for x, y in zip(begin_x.tolist(), begin_y.tolist(), strict=True)]
    return edges


def _edge_behind(edge: Edge, edges: dict[Edge, None]) -> Edge:
    """Return the edge that goes on where one ends: to the right if it can, staying with its pixel."""
    x, y, dx, dy = edge
    x, y = x + dx, y + dy
    turns = ((x, y, -dy, dx), (x, y, dx, dy), (x, y, dy, -dx))
    return next(turn for turn in turns if turn in edges)
