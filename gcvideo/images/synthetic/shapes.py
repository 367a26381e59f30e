"""The shapes of the synthetic pictures: outlines of area one, and the pixels within them.

A shape is one closed outline or several, vertices (u, v) around its centroid. A point is inside if a ray from
it crosses the outlines an odd number of times, so that a second outline within the first is a hole. All
shapes have the same area: how much of a picture an object covers says nothing of its class.
"""

import numpy as np
from jaxtyping import Bool, Float

Outline = Float[np.ndarray, "vertices 2"]
Outlines = tuple[Outline, ...]

HOLE = 0.55
"""Of a ring's radius."""
INNER = 0.42
"""Radius of a star's inner vertices, of that of its points."""


def regular(num_vertices: int, radius: float = 1.0) -> Outline:
    """Return a regular polygon; of many vertices it is a circle."""
    angle = 2 * np.pi * np.arange(num_vertices) / num_vertices
    return radius * np.stack([np.sin(angle), -np.cos(angle)], axis=1)


def star(num_points: int) -> Outline:
    """Return a star whose first point shows upwards."""
    outline = regular(2 * num_points)
    outline[1::2] *= INNER
    return outline


def cross() -> Outline:
    """Return five squares, one amid the others."""
    arm = np.array([[1, -3], [1, -1], [3, -1]], float)  # from the top arm to the right one
    quarter = np.array([[0, -1], [1, 0]], float)  # turn, transposed: (u, v) -> (-v, u)
    return np.concatenate([arm @ np.linalg.matrix_power(quarter.T, turns) for turns in range(4)])


def of_area_one(*outlines: Outline) -> Outlines:
    """Scale a shape to area one; the area is the first outline's without those of the holes in it."""
    areas = [abs(signed_area(outline)) for outline in outlines]
    return tuple(outline / np.sqrt(areas[0] - sum(areas[1:])) for outline in outlines)


def signed_area(outline: Outline) -> float:
    """Return 1/2 sum_i (u_i v_i+1 - u_i+1 v_i), the shoelace formula."""
    following = np.roll(outline, -1, axis=0)
    return float(outline[:, 0] @ following[:, 1] - following[:, 0] @ outline[:, 1]) / 2


SHAPES: dict[str, Outlines] = {
    "circle": of_area_one(regular(48)),
    "square": of_area_one(regular(4)),
    "triangle": of_area_one(regular(3)),
    "star": of_area_one(star(5)),
    "cross": of_area_one(cross()),
    "ring": of_area_one(regular(48), regular(48, HOLE)),
}

CLASSES = tuple(SHAPES)
"""Class names; the index is the class, from 0."""


def contains(
    outlines: Outlines, u: Float[np.ndarray, " N"], v: Float[np.ndarray, " N"]
) -> Bool[np.ndarray, " N"]:
    """Return which of the points are inside, by the even-odd rule."""
    inside = np.zeros(u.shape, bool)
    for outline in outlines:
        for (u0, v0), (u1, v1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
            if v0 != v1:
                between = (v < v0) != (v < v1)
                inside ^= between & (u < u0 + (v - v0) * (u1 - u0) / (v1 - v0))
    return inside
