"""Scenes of shapes: a picture, and which of its pixels each object is seen at.

Every object has a random place, size, orientation and pair of colours, whatever its class, so that no pixel
and no colour tells the class; only the outline does.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from numpy.random import Generator

from gcvideo.data.synthetic_scene import random_background, random_colour
from gcvideo.images.synthetic.shapes import CLASSES, SHAPES, contains

SAMPLES = 3
"""A pixel is looked at in so many rows and columns of points; odd, so that one is its centre."""
SMALLEST, LARGEST = 0.16, 0.38
"""Square root of an object's area, in sides of the picture."""
REACH = 1.0
"""How far a shape of area one reaches from its centre, at most."""
CROWDED = (0.05, 0.08)
"""The same as SMALLEST and LARGEST, of the objects of a crowd."""
CROWD_SPREAD = 0.09
"""Standard deviation of their centres, in sides of the picture."""
LEAST_SEEN = 0.4
"""Of an object's area: what others and the picture's border must leave to be seen of it."""
ATTEMPTS = 20
"""To find a place for an object that leaves the others to be seen."""
NOISE = 0.03
"""Standard deviation of every pixel's colour."""


class Instance(NamedTuple):
    """An object of a scene, or a crowd of one class."""

    category: int
    """An index of CLASSES."""
    visible: Bool[np.ndarray, "H W"]
    """The pixels that it is seen at: those that no other object covers."""
    is_crowd: bool = False


class Scene(NamedTuple):
    """A picture, and what is seen in it, from the farthest to the nearest."""

    picture: UInt8[np.ndarray, "H W 3"]
    instances: list[Instance]


class Placed(NamedTuple):
    """An object at its place: how much of each pixel it covers, and with which colour."""

    coverage: Float32[np.ndarray, "H W"]
    colour: Float32[np.ndarray, "H W 3"]
    area: float
    """In pixels, as if nothing cut it."""

    @property
    def mask(self) -> Bool[np.ndarray, "H W"]:
        """The pixels that are the object's by more than half."""
        return self.coverage > 0.5

    def paint(self, picture: Float32[np.ndarray, "H W 3"]) -> None:
        """Paint the object over a picture, in place."""
        picture += self.coverage[..., None] * (self.colour - picture)


def random_scene(rng: Generator, *, size: int, num_objects: int, crowd: bool = False) -> Scene:
    """Draw objects of random classes over one another, and a crowd behind them if there is one.

    Args:
        rng: What every choice comes from.
        size: Side of the picture, in pixels.
        num_objects: How many objects; fewer, where one finds no place in which at least LEAST_SEEN of every
            object is seen.
        crowd: Whether many small objects of one class, close together, stand behind the others.
    """
    picture = random_background(rng, size, size)
    instances: list[Instance] = []
    if crowd:
        category = int(rng.integers(len(CLASSES)))
        crowded = np.zeros((size, size), bool)
        for placed in _crowd(rng, category, size):
            placed.paint(picture)
            crowded |= placed.mask
        instances.append(Instance(category, crowded, is_crowd=True))

    areas = [float(instance.visible.sum()) for instance in instances]
    for _ in range(num_objects):
        for _ in range(ATTEMPTS):
            category, length = int(rng.integers(len(CLASSES))), rng.uniform(SMALLEST, LARGEST) * size
            placed = random_object(rng, category, size, length=length, centre=rng.random(2) * size)
            left = [instance.visible & ~placed.mask for instance in instances]
            seen = np.array([mask.sum() for mask in (*left, placed.mask)])
            if np.all(seen >= LEAST_SEEN * np.array([*areas, placed.area])):
                placed.paint(picture)
                instances = [old._replace(visible=mask) for old, mask in zip(instances, left, strict=True)]
                instances.append(Instance(category, placed.mask))
                areas.append(placed.area)
                break
    return Scene(_finished(rng, picture), instances)


def random_portrait(rng: Generator, category: int, *, size: int) -> Scene:
    """Draw one object of a class anywhere, but whole."""
    picture = random_background(rng, size, size)
    length = rng.uniform(SMALLEST, LARGEST) * size
    centre = rng.uniform(REACH * length, size - REACH * length, 2)
    placed = random_object(rng, category, size, length=length, centre=centre)
    placed.paint(picture)
    return Scene(_finished(rng, picture), [Instance(category, placed.mask)])


def random_object(
    rng: Generator, category: int, size: int, *, length: float, centre: Float[np.ndarray, " 2"]
) -> Placed:
    """Turn an object of a class at random, and paint it in stripes of two random colours.

    A point of the picture is mapped back to (u, v), in which the object's area is 1:

        (u, v) = R(-orientation) (point - centre) / length.

    Args:
        rng: What every choice comes from.
        category: An index of CLASSES.
        size: Side of the picture, in pixels.
        length: Square root of the object's area, in pixels.
        centre: Of the object: x and y, in pixels.
    """
    # How much of each pixel is inside, of SAMPLES x SAMPLES points
    orientation = 2 * np.pi * rng.random()
    points = (np.arange(size * SAMPLES) + 0.5) / SAMPLES
    dx, dy = (points[None] - centre[0]) / length, (points[:, None] - centre[1]) / length
    near = np.nonzero(dx**2 + dy**2 < REACH**2)
    dx, dy = dx[0, near[1]], dy[near[0], 0]
    cos, sin = np.cos(orientation), np.sin(orientation)
    inside = np.zeros((size * SAMPLES, size * SAMPLES), np.float32)
    inside[near] = contains(SHAPES[CLASSES[category]], cos * dx + sin * dy, cos * dy - sin * dx)
    coverage = inside.reshape(size, SAMPLES, size, SAMPLES).mean(axis=(1, 3))

    # Stripes of two hues that lie close together
    hue, towards, phase, cycles = *rng.random(3), rng.uniform(0.8, 2.0)
    vivid = {"saturation": (0.3, 1.0), "brightness": (0.5, 1.0)}
    first, second = (random_colour(rng, hue + apart, **vivid) for apart in (0.0, rng.uniform(0.05, 0.25)))
    pixels = (np.arange(size) + 0.5) / length
    along = np.cos(2 * np.pi * towards) * pixels[None] + np.sin(2 * np.pi * towards) * pixels[:, None]
    mixture = (0.5 + 0.5 * np.sin(2 * np.pi * (cycles * along + phase)))[..., None]  # [H W 1]
    return Placed(coverage, (first + mixture * (second - first)).astype(np.float32), area=length**2)


def _crowd(rng: Generator, category: int, size: int) -> Iterator[Placed]:
    """Yield small objects of one class around a place."""
    middle = rng.uniform(0.25, 0.75, 2)
    for _ in range(int(rng.integers(12, 20))):
        centre = np.clip(middle + rng.normal(0, CROWD_SPREAD, 2), 0, 1) * size
        yield random_object(rng, category, size, length=rng.uniform(*CROWDED) * size, centre=centre)


def _finished(rng: Generator, picture: Float32[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    noisy = picture + rng.normal(0, NOISE, picture.shape)
    return np.round(255 * np.clip(noisy, 0, 1)).astype(np.uint8)
