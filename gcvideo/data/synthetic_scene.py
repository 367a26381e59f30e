"""Moving pictures that no single frame can tell apart: the videos of the embedded data set, drawn.

Objects drift over a torus, whose width and height are circles of circumference one. In a video of class k

    position(t) = position(0) + t * speed * direction_k   (mod 1),      position(0) ~ U[0, 1)^2.

A uniform distribution on a circle stays uniform under a shift, and nothing else depends on k. So any one
frame has the same distribution under every class, and the class is in the change alone.
"""

import colorsys
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8
from numpy.random import Generator

DIRECTIONS = {  # (x, y); y points down
    "move_left": (-1, 0),
    "move_right": (1, 0),
    "move_up": (0, -1),
    "move_down": (0, 1),
    "move_up_left": (-1, -1),
    "move_up_right": (1, -1),
    "move_down_left": (-1, 1),
    "move_down_right": (1, 1),
}

NUM_OBJECTS = 2
SLOWEST, FASTEST = 0.02, 0.035  # circumferences per frame
SMALLEST, LARGEST = 0.2, 0.36  # radius in short sides of the picture


class LobedObject(NamedTuple):
    """Stripes of two colours, one edge through the centre, inside a lobed outline."""

    num_lobes: int
    lobe_depth: float
    cycles_per_radius: float
    radius: float
    """In short sides of the picture."""
    orientation: float
    """In turns."""
    colours: Float32[np.ndarray, "2 3"]


def random_video(
    rng: Generator, motion: str, *, num_frames: int, height: int, width: int
) -> UInt8[np.ndarray, "T H W 3"]:
    """Draw a random scene in which every object moves as `motion`, a key of DIRECTIONS, says."""
    background = random_background(rng, height, width)
    objects = [random_object(rng) for _ in range(NUM_OBJECTS)]
    positions = random_positions(rng, motion, num_frames)
    video = np.repeat(background[None], num_frames, axis=0)
    for lobed_object, position in zip(objects, positions, strict=True):
        paint(video, lobed_object, position)
    return np.round(255 * video).astype(np.uint8)


def random_positions(rng: Generator, motion: str, num_frames: int) -> Float[np.ndarray, "num_objects T 2"]:
    """position(0) + t * speed * direction (mod 1), with one speed for all objects of a video."""
    first = rng.random((NUM_OBJECTS, 1, 2))
    velocity = rng.uniform(SLOWEST, FASTEST) * np.array(DIRECTIONS[motion])
    return (first + np.arange(num_frames)[:, None] * velocity) % 1


def random_object(rng: Generator) -> LobedObject:
    """Return an object of random shape and colours."""
    hue = rng.random()
    ground = random_colour(rng, hue, saturation=(0.6, 1.0), brightness=(0.7, 1.0))
    other_hue = hue + rng.uniform(0.3, 0.7)
    stripe = random_colour(rng, other_hue, saturation=(0.3, 0.9), brightness=(0.7, 1.0))
    return LobedObject(
        num_lobes=int(rng.integers(1, 4)),
        lobe_depth=rng.uniform(0.1, 0.3),
        cycles_per_radius=rng.uniform(0.6, 1.0),
        radius=rng.uniform(SMALLEST, LARGEST),
        orientation=rng.random(),
        colours=np.stack([ground, stripe]),
    )


def random_background(rng: Generator, height: int, width: int) -> Float32[np.ndarray, "H W 3"]:
    """Return two muted colours, mixed by eight plane waves that close on the torus."""
    y, x = np.arange(height)[:, None] / height, np.arange(width) / width
    cycles = rng.integers(-4, 5, size=(8, 2))
    phases = rng.random(8)
    waves = sum(
        np.sin(2 * np.pi * (x * cycles_x + y * cycles_y + phase))
        for (cycles_x, cycles_y), phase in zip(cycles, phases, strict=True)
    )
    mixture = 0.5 + 0.5 * np.tanh(waves / 4)[..., None]  # [H W 1]
    muted = {"saturation": (0.1, 0.4), "brightness": (0.08, 0.22)}
    colours = [random_colour(rng, rng.random(), **muted) for _ in range(2)]
    return (colours[0] + (colours[1] - colours[0]) * mixture).astype(np.float32)


def random_colour(
    rng: Generator, hue: float, *, saturation: tuple[float, float], brightness: tuple[float, float]
) -> Float32[np.ndarray, " 3"]:
    """Return RGB in 0..1; the hue is a circle of circumference one, the ranges are (low, high)."""
    rgb = colorsys.hsv_to_rgb(hue, rng.uniform(*saturation), rng.uniform(*brightness))
    return np.array(rgb, np.float32)


def paint(
    video: Float32[np.ndarray, "T H W 3"], shape: LobedObject, position: Float[np.ndarray, "T 2"]
) -> None:
    """Paint one object over every frame, in place.

    Each pixel is mapped back to (u, v), object coordinates in which the radius is 1:

        (u, v) = R(-orientation) (pixel - position) / radius,

    by the shortest way round the torus. There the outline is 1 + depth * cos(lobes * angle). Edges
    are one pixel wide; nothing is blurred by its motion.
    """
    height, width = video.shape[1:3]
    x, y = position.T.astype(np.float32)[:, :, None, None]  # 2 x [T 1 1]
    radius = shape.radius * min(height, width)  # pixels
    pixel_x = np.arange(width, dtype=np.float32) / width
    pixel_y = np.arange(height, dtype=np.float32)[:, None] / height
    dx = ((pixel_x - x + 0.5) % 1 - 0.5) * width / radius  # [T 1 W]
    dy = ((pixel_y - y + 0.5) % 1 - 0.5) * height / radius  # [T H 1]

    near = np.nonzero(dx**2 + dy**2 < (1.1 + shape.lobe_depth) ** 2)  # the pixels worth painting
    t, row, column = near
    dx, dy = dx[t, 0, column], dy[t, row, 0]
    cos, sin = np.cos(2 * np.pi * shape.orientation), np.sin(2 * np.pi * shape.orientation)
    u, v = cos * dx + sin * dy, cos * dy - sin * dx

    def coverage(inside: np.ndarray) -> np.ndarray:  # of a pixel; `inside` is a distance, in radii
        return np.clip(inside * radius + 0.5, 0, 1)[:, None]

    outline = 1 + shape.lobe_depth * np.cos(shape.num_lobes * np.arctan2(v, u))
    wave_number = 2 * np.pi * shape.cycles_per_radius
    striped = coverage(np.sin(wave_number * v) / wave_number)
    ground, stripe = shape.colours
    colour = ground + striped * (stripe - ground)
    video[near] += coverage(outline - np.hypot(u, v)) * (colour - video[near])
