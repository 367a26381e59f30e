"""Maps laid over the frames of their clip: a grid as PNG, a film as mp4 and GIF."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gcvideo.atomic import replacing
from gcvideo.attention.maps import Layer, Layers, Query

MOST_COLUMNS = 8
OPACITY = 0.75
UNSIGNED, SIGNED = "inferno", "RdBu_r"
PANEL_HEIGHT = 192
GAP = 8
DPI = 120
TITLE_SIZE = 10
"""Points."""
TITLE_LINE = 0.17
"""Inches."""
FRAMES_PER_SECOND = 4
DOT = {"fill": "#00E5FF", "outline": "white"}
RING = {"fill": None, "outline": "#00E5FF"}


class Colours(NamedTuple):
    """From values to colours, the same for all layers of a picture: only so can they be compared."""

    scale: Normalize
    palette: Colormap

    @classmethod
    def of(cls, layers: Sequence[Layer]) -> "Colours":
        """Scale least to greatest (but for the greatest 0.5 %); about zero if values have both signs."""
        values = np.stack([layer.values.float().cpu().numpy() for layer in layers])
        low, high = float(values.min()), float(np.quantile(values, 0.995))
        if low < 0:
            reach = max(-low, high)
            return cls(Normalize(-reach, reach, clip=True), matplotlib.colormaps[SIGNED])
        if high - low < 1e-6 * high:
            low = 0.0
        return cls(Normalize(low, high or 1.0, clip=True), matplotlib.colormaps[UNSIGNED])

    def over(
        self, frames: UInt8[np.ndarray, "T H W 3"], values: Float[np.ndarray, "T H W"]
    ) -> UInt8[np.ndarray, "T H W 3"]:
        """Lay the values in colour over the frames in grey; the stronger they are, the more they hide."""
        grey = frames.mean(axis=3, keepdims=True)
        share = np.asarray(self.scale(values))[..., None]
        strength = np.abs(2 * share - 1) if self.palette.name == SIGNED else share
        colour = self.palette(share[..., 0])[..., :3] * 255
        opacity = OPACITY * (0.2 + 0.8 * strength)
        return ((1 - opacity) * grey + opacity * colour).round().astype(np.uint8)


def draw_grid(frames: UInt8[Tensor, "T H W 3"], layers: Layers, file: Path, *, title: str) -> None:
    """Draw frames across; down, the frames as they are and each layer over them.

    A dot marks a query in the frame that it is in; a ring marks the same place in other frames. Of more than
    8 frames some are shown, those of the queries among them.
    """
    # One mosaic of all pictures.
    colours = Colours.of(layers.layers)
    chosen = chosen_frames(len(frames), [layer.point for layer in layers.layers])
    rows = [strip[chosen] for strip in strips(frames, layers, colours)]
    height, width = rows[0].shape[1] + GAP, rows[0].shape[2] + GAP
    mosaic = np.full((len(rows) * height, len(chosen) * width, 3), 255, dtype=np.uint8)
    for row, strip in enumerate(rows):
        for column, picture in enumerate(strip):
            top, left = row * height, column * width
            mosaic[top : top + height - GAP, left : left + width - GAP] = picture

    # The figure around it: labels, scale and title.
    inches = mosaic.shape[1] / DPI + 1.8
    lines = title_lines(title, inches=inches - 0.1)
    figure = Figure(
        figsize=(inches, mosaic.shape[0] / DPI + 0.7 + TITLE_LINE * (len(lines) - 1)),
        dpi=DPI,
        layout="constrained",
    )
    axes = figure.subplots()
    axes.imshow(mosaic)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=9, top=False, labeltop=True, labelbottom=False)
    axes.set_xticks([(i + 0.5) * width for i in range(len(chosen))], [f"frame {frame}" for frame in chosen])
    labels = ["frames", *(layer.title for layer in layers.layers)]
    places = [(i + 0.5) * height for i in range(len(rows))]
    axes.set_yticks(places, labels, rotation=90, va="center")
    bar = figure.colorbar(ScalarMappable(colours.scale, colours.palette), ax=axes, pad=0.01, fraction=0.05)
    bar.set_label(layers.legend, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    figure.suptitle("\n".join(lines), fontsize=TITLE_SIZE)
    with replacing(file) as unfinished:
        figure.savefig(unfinished, format="png")


def title_lines(title: str, *, inches: float) -> list[str]:
    """Break a title into the fewest lines that are no wider, in words if it can be."""
    for most in range(len(title), 0, -1):
        lines = textwrap.wrap(title, most)
        if all(TextPath((0, 0), line, TITLE_SIZE).get_extents().width <= 72 * inches for line in lines):
            return lines
    return [title]


def chosen_frames(num_frames: int, points: Sequence[Query | None]) -> list[int]:
    """Choose MOST_COLUMNS frames at most: spread evenly, the nearest moved to those of the points."""
    if num_frames <= MOST_COLUMNS:
        return list(range(num_frames))
    free = np.linspace(0, num_frames - 1, MOST_COLUMNS).round().astype(int).tolist()
    wanted = dict.fromkeys(frame_of(point, num_frames) for point in points if point is not None)
    moved = list(wanted)[:MOST_COLUMNS]
    for frame in moved:
        free.remove(min(free, key=lambda other: abs(other - frame)))
    return sorted([*moved, *free])


def frame_of(point: Query, num_frames: int) -> int:
    """Return the frame of the clip that a point is in."""
    return point.cell((num_frames, 1, 1))[0]


def film(frames: UInt8[Tensor, "T H W 3"], layers: Layers) -> UInt8[np.ndarray, "T h w 3"]:
    """Return, side by side, the frames as they are and each layer over them, with its title."""
    shown = strips(frames, layers, Colours.of(layers.layers))
    titles = ["", *(layer.title for layer in layers.layers)]
    written = [
        np.stack([_written_on(picture, title) for picture in strip])
        for strip, title in zip(shown, titles, strict=True)
    ]
    return np.concatenate(written, axis=2)


def strips(
    frames: UInt8[Tensor, "T H W 3"], layers: Layers, colours: Colours
) -> list[UInt8[np.ndarray, "T h w 3"]]:
    """Return the frames as they are, then each layer over them with its point, all PANEL_HEIGHT high."""
    pictures = frames.cpu().numpy()
    size = (round(PANEL_HEIGHT * pictures.shape[2] / pictures.shape[1]), PANEL_HEIGHT)
    shown = [np.stack([np.asarray(_resized(picture, size)) for picture in pictures])]
    for layer in layers.layers:
        over = [_resized(picture, size) for picture in colours.over(pictures, layer.values.cpu().numpy())]
        if layer.point is not None:
            own_frame = frame_of(layer.point, len(over))
            for frame, image in enumerate(over):
                _mark(image, layer.point, DOT if frame == own_frame else RING)
        shown.append(np.stack([np.asarray(image) for image in over]))
    return shown


def _resized(picture: UInt8[np.ndarray, "H W 3"], size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)


def _mark(image: Image.Image, point: Query, style: Mapping[str, str | None]) -> None:
    x, y = point.x * image.width, point.y * image.height
    ImageDraw.Draw(image).ellipse((x - 5, y - 5, x + 5, y + 5), width=2, **style)


def _written_on(picture: UInt8[np.ndarray, "H W 3"], title: str) -> UInt8[np.ndarray, "H W 3"]:
    image = Image.fromarray(picture)
    font = ImageFont.load_default(14)
    ImageDraw.Draw(image).text((6, 4), title, fill="white", font=font, stroke_width=2, stroke_fill=0)
    return np.asarray(image)


def write_mp4(pictures: UInt8[np.ndarray, "T h w 3"], file: Path) -> None:
    """Write H.264, at a rate slow enough to follow."""
    height, width = pictures.shape[1:3]
    even = np.pad(pictures, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    with replacing(file) as unfinished, av.open(str(unfinished), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.height, stream.width = even.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for picture in even:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_gif(pictures: UInt8[np.ndarray, "T h w 3"], file: Path) -> None:
    """Write the same without end."""
    first, *others = (Image.fromarray(picture) for picture in pictures)
    times = {"duration": 1000 // FRAMES_PER_SECOND, "loop": 0}
    with replacing(file) as unfinished:
        first.save(unfinished, "GIF", save_all=True, append_images=others, **times)


def draw_channels(weights: Float[Tensor, " C"], file: Path, *, title: str) -> None:
    """Draw the weight of every channel, in order and sorted."""
    values = weights.float().cpu().numpy()
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    in_order, in_rank = figure.subplots(1, 2, sharey=True)
    in_order.bar(np.arange(len(values)), values, width=1.0, color="#0072B2")
    in_order.set(xlabel="channel", ylabel="weight, 0..1", xlim=(-0.5, len(values) - 0.5), ylim=(0, 1))
    in_rank.bar(np.arange(len(values)), np.sort(values)[::-1], width=1.0, color="#0072B2")
    in_rank.set(xlabel="rank", xlim=(-0.5, len(values) - 0.5))
    figure.suptitle(title, fontsize=10)
    with replacing(file) as unfinished:
        figure.savefig(unfinished, format="png", dpi=120)
