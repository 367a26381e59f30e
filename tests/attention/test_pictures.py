"""Pictures and films: what is drawn where, read back from the files."""

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from gcvideo.attention.maps import Layer, Layers, Query
from gcvideo.attention.pictures import (
    Colours,
    chosen_frames,
    draw_channels,
    draw_grid,
    film,
    strips,
    write_gif,
    write_mp4,
)

GREY = torch.full((4, 48, 48, 3), 100, dtype=torch.uint8)
CYAN = (0, 229, 255)


def layers(*values: torch.Tensor, points: list[Query | None] | None = None) -> Layers:
    named = zip(values, points or [None] * len(values), strict=True)
    return Layers([Layer(f"query {i}", value, point) for i, (value, point) in enumerate(named, 1)], "weight")


def test_all_layers_of_a_picture_share_one_scale() -> None:
    weak, strong = torch.zeros(4, 48, 48), torch.zeros(4, 48, 48)
    weak[:, :24], strong[:, :24] = 1, 10
    colours = Colours.of(layers(weak, strong).layers)
    assert (colours.scale.vmin, colours.scale.vmax) == (0, 10)
    _, over_weak, over_strong = strips(GREY, layers(weak, strong), colours)
    red = over_weak[0, 20, 20, 0], over_strong[0, 20, 20, 0]
    assert red[0] < red[1]
    np.testing.assert_array_equal(over_weak[0, 150:], over_strong[0, 150:])


def test_values_of_both_signs_are_coloured_about_zero() -> None:
    both = torch.linspace(-3, 1, 4 * 48 * 48).view(4, 48, 48)
    colours = Colours.of(layers(both).layers)
    assert colours.scale.vmin == -colours.scale.vmax == pytest.approx(-3)
    over = colours.over(GREY.numpy(), both.numpy())
    negative, zero = over[0, 0, 0].astype(int), over[2, 47, 47].astype(int)
    assert negative[2] > negative[0]  # blue
    assert abs(zero - zero.mean()).max() < 12  # grey


def test_a_map_without_differences_is_drawn_without_warnings() -> None:
    for value in (0.0, 1.0):
        colours = Colours.of(layers(torch.full((4, 48, 48), value)).layers)
        assert np.isfinite(colours.over(GREY.numpy(), np.full((4, 48, 48), value))).all()


def test_a_dot_marks_the_query_in_its_frame_and_a_ring_in_the_others() -> None:
    point = Query(0.6, 0.25, 0.75)  # frame 2 of 4
    found = layers(torch.zeros(4, 48, 48), points=[point])
    plain, marked = strips(GREY, found, Colours.of(found.layers))
    row, column = round(0.25 * 192), round(0.75 * 192)
    filled = [tuple(marked[frame, row, column]) == CYAN for frame in range(4)]
    assert filled == [False, False, True, False]
    for frame in (0, 1, 3):
        around = marked[frame, row - 6 : row + 7, column - 6 : column + 7].reshape(-1, 3)
        assert (around == CYAN).all(axis=1).any()
    assert not (plain == CYAN).all(axis=-1).any()


def test_of_many_frames_those_of_the_queries_are_shown() -> None:
    points = [Query(0.999, 0, 0), Query(10.5 / 32, 0, 0), None]
    chosen = chosen_frames(32, points)
    assert len(chosen) == 8
    assert chosen == sorted(set(chosen))
    assert {0, 10, 31} <= set(chosen)
    assert max(b - a for a, b in itertools.pairwise(chosen)) <= 2 * 31 / 7
    assert chosen_frames(8, points) == list(range(8))
    crowded = [Query(time / 20, 0, 0) for time in range(20)]
    assert len(set(chosen_frames(32, crowded))) == 8


def test_a_grid_has_a_row_of_frames_and_one_for_each_layer(tmp_path: Path) -> None:
    values = torch.rand(4, 48, 48)
    one, three = layers(values), layers(values, values, values)
    for name, found in (("one", one), ("three", three)):
        draw_grid(GREY, found, tmp_path / f"{name}.png", title="video")
    with Image.open(tmp_path / "one.png") as small, Image.open(tmp_path / "three.png") as large:
        assert small.width == large.width
        assert large.height - small.height == pytest.approx(2 * 200, abs=20)


@pytest.mark.parametrize(
    "name", ["val/" + 60 * "W" + ".png", "a match of two sides, in the rain, second half.mp4"]
)
def test_a_title_longer_than_a_narrow_grid_is_whole(name: str, tmp_path: Path) -> None:
    draw_grid(
        GREY[:1], layers(torch.rand(1, 48, 48)), tmp_path / "a.png", title=f"{name}   c4.4: average pooling"
    )
    with Image.open(tmp_path / "a.png") as drawn:
        border = np.asarray(drawn.convert("L"))
    for edge in (border[:, :2], border[:, -2:], border[:2]):
        assert (edge == 255).all()


def test_a_film_shows_the_frames_beside_each_layer(tmp_path: Path) -> None:
    frames = torch.arange(4, dtype=torch.uint8).mul(60).view(4, 1, 1, 1).expand(4, 48, 33, 3).contiguous()
    values = torch.zeros(4, 48, 33)
    values[3] = 1
    pictures = film(frames, layers(values, values))
    assert pictures.shape == (4, 192, 3 * 132, 3)
    write_mp4(pictures[:, :191, :-1], tmp_path / "film.mp4")  # odd sizes, which H.264 does not have
    with av.open(str(tmp_path / "film.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == Fraction(4)
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
    assert decoded.shape == (4, 192, 396, 3)
    np.testing.assert_allclose(decoded[:, 100, 60].mean(axis=1), [0, 60, 120, 180], atol=4)
    assert decoded[3, 100, 200].std() > decoded[2, 100, 200].std() + 20  # coloured where the layer is strong

    write_gif(pictures, tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"]) == (4, (396, 192), 0)


def test_channel_weights_are_drawn(tmp_path: Path) -> None:
    draw_channels(torch.tensor([1.0] * 10 + [0.0] * 10), tmp_path / "weights.png", title="res3.1")
    with Image.open(tmp_path / "weights.png") as image:
        picture = np.asarray(image.convert("RGB")).astype(int)
    blue = (abs(picture - (0, 114, 178)).max(axis=2) < 10)[:, : picture.shape[1] // 2]
    columns = np.flatnonzero(blue.sum(axis=0) > 100)
    assert columns.max() < 0.3 * picture.shape[1]  # the first half of the left plot
