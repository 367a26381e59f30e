"""Scenes of shapes: what is seen of each object is annotated, and nothing but its outline tells its class."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion
from sklearn.ensemble import RandomForestClassifier

from gcvideo.images.synthetic.scene import (
    LARGEST,
    LEAST_SEEN,
    SMALLEST,
    Scene,
    random_object,
    random_portrait,
    random_scene,
)
from gcvideo.images.synthetic.shapes import CLASSES, SHAPES, contains

SIZE = 40


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [
        random_scene(np.random.default_rng([0, n]), size=64, num_objects=4, crowd=n % 3 == 0)
        for n in range(24)
    ]


@pytest.fixture(scope="module")
def portraits() -> list[Scene]:
    return [random_portrait(np.random.default_rng([1, n]), n % len(CLASSES), size=SIZE) for n in range(480)]


@pytest.mark.parametrize("name", CLASSES)
def test_every_shape_has_area_one_and_lies_around_its_centre_within_reach(name: str) -> None:
    at = np.linspace(-1, 1, 401)
    u, v = (axis.ravel() for axis in np.meshgrid(at, at))
    inside = contains(SHAPES[name], u, v)
    assert inside.mean() * (401 / 200) ** 2 == pytest.approx(1, abs=0.01)
    assert abs(u[inside].mean()) < 0.01
    assert abs(v[inside].mean()) < 0.01
    assert np.hypot(u[inside], v[inside]).max() < 1


def test_a_ring_has_a_hole_and_a_star_is_seen_as_five_points() -> None:
    centre = np.zeros(1)
    assert [name for name in CLASSES if not contains(SHAPES[name], centre, centre)] == ["ring"]
    angle = np.linspace(0, 2 * np.pi, 1000, endpoint=False)
    around = contains(SHAPES["star"], 0.6 * np.sin(angle), 0.6 * np.cos(angle))
    assert (around & ~np.roll(around, 1)).sum() == 5


def test_no_pixel_has_two_objects_and_each_is_seen_enough(scenes: list[Scene]) -> None:
    assert {len(scene.instances) for scene in scenes} > {4}
    for scene in scenes:
        assert np.sum([instance.visible for instance in scene.instances], axis=0).max() == 1
        for instance in scene.instances:
            smallest = LEAST_SEEN * (SMALLEST * 64) ** 2 if not instance.is_crowd else 1
            assert instance.visible.sum() >= smallest


def test_masks_are_where_bright_objects_stand_on_the_dark_ground(scenes: list[Scene]) -> None:
    for scene in scenes:
        seen = np.any([instance.visible for instance in scene.instances], axis=0)
        bright = scene.picture.max(axis=2) / 255 > 0.32
        assert bright[binary_erosion(seen)].mean() > 0.99
        assert bright[~binary_dilation(seen)].mean() < 0.01


def test_what_is_painted_later_covers_what_was_painted_before() -> None:
    square = {"category": CLASSES.index("square"), "size": SIZE, "length": 16.0}
    centre = np.array([20.0, 20.0])
    below, above = (random_object(np.random.default_rng(n), **square, centre=centre) for n in range(2))
    picture = np.zeros((SIZE, SIZE, 3), np.float32)
    for placed in (below, above):
        placed.paint(picture)
    np.testing.assert_allclose(picture[20, 20], above.colour[20, 20])
    assert above.mask.sum() == pytest.approx(16**2, rel=0.05)


def held_out_accuracy(features: np.ndarray) -> float:
    """Of a forest that is fitted to the first half of the portraits, on the second."""
    labels, half = np.arange(len(features)) % len(CLASSES), len(features) // 2
    forest = RandomForestClassifier(50, min_samples_leaf=3, random_state=0).fit(
        features[:half], labels[:half]
    )
    return forest.score(features[half:], labels[half:])


def test_neither_a_pixel_nor_the_colours_tell_a_class(portraits: list[Scene]) -> None:
    pictures = np.stack([scene.picture for scene in portraits]).astype(float)
    seen = [scene.picture[scene.instances[0].visible] for scene in portraits]
    covered = np.array([[scene.instances[0].visible.sum()] for scene in portraits])
    chance, deviation = 1 / 6, np.sqrt(1 / 6 * 5 / 6 / 240)
    for features in (
        pictures[:, SIZE // 2, SIZE // 2],
        pictures[:, SIZE // 3, SIZE // 2],
        np.stack([colours.mean(axis=0) for colours in seen]),
        np.concatenate([pictures.mean(axis=(1, 2)), pictures.std(axis=(1, 2))], axis=1),
        covered,
    ):
        assert held_out_accuracy(features) < chance + 3 * deviation


def test_the_outline_tells_a_class(portraits: list[Scene]) -> None:
    """What the test before it would find: the share of an object that erosion and closing leave."""
    features = []
    for scene in portraits:
        mask = scene.instances[0].visible
        eroded = [binary_erosion(mask, iterations=n).sum() / mask.sum() for n in (1, 2, 3)]
        y, x = np.nonzero(mask)
        far = np.hypot(x - x.mean(), y - y.mean()) / np.sqrt(mask.sum())
        features.append([mask.sum(), *eroded, far.min(), far.max(), far.std()])
    assert held_out_accuracy(np.array(features)) > 0.75


def test_portraits_are_whole_and_of_all_sizes(portraits: list[Scene]) -> None:
    masks = np.stack([scene.instances[0].visible for scene in portraits])
    border = np.ones((SIZE, SIZE), bool)
    border[1:-1, 1:-1] = False
    assert not (masks & border).any()
    lengths = np.sqrt(masks.sum(axis=(1, 2))) / SIZE
    assert lengths.min() == pytest.approx(SMALLEST, abs=0.02)
    assert lengths.max() == pytest.approx(LARGEST, abs=0.02)
