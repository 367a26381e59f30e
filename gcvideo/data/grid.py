"""Clips as the network sees them, with their labels, as one picture."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gcvideo.clip import ViewBatch
from gcvideo.data.transforms import Normalize

LEAST_SIDE = 96
"""Height of a frame in the picture, at least, in pixels; smaller ones are enlarged by a whole number."""
LINE_HEIGHT = 18
GAP = 2
NEGLIGIBLE = 0.005
"""Share of a class that is not written."""


def clip_grid(
    batch: ViewBatch,
    normalize: Normalize,
    class_names: Sequence[str],
    *,
    num_clips: int = 8,
    num_frames: int = 8,
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw a batch as the network reads it: a row for every clip, its frames across, its target above them.

    Args:
        batch: At least one clip, normalised, perhaps blended.
        normalize: By which it was normalised.
        class_names: The K class names.
        num_clips: Clips that are drawn, the first ones, of each its first view.
        num_frames: Frames of a clip that are drawn, spread evenly over it.
    """
    frames = normalize.inverse(batch.views[:num_clips, :1])[:, 0].cpu().numpy()
    shown = np.linspace(0, frames.shape[1] - 1, min(num_frames, frames.shape[1])).round().astype(int)
    rows = [_row(clip[shown], caption) for clip, caption in zip(frames, captions(batch, class_names))]  # noqa: B905 (of the first clips)
    return np.concatenate(rows)


def clip_film(
    batch: ViewBatch, normalize: Normalize, class_names: Sequence[str], *, num_clips: int = 8
) -> UInt8[np.ndarray, "T h w 3"]:
    """Draw the clips of a batch beside and below one another, each with its target above it."""
    frames = normalize.inverse(batch.views[:num_clips, :1])[:, 0].cpu().numpy()
    named = list(zip(frames, captions(batch, class_names)))  # noqa: B905 (of the first clips)
    return np.stack(
        [_tiled([_row(clip[t : t + 1], said) for clip, said in named]) for t in range(frames.shape[1])]
    )


def captions(batch: ViewBatch, class_names: Sequence[str]) -> list[str]:
    """Return for every clip its classes, with their shares where clips are blended, and its video."""
    targets = [_said(target, class_names) for target in batch.target.cpu()]
    return [f"{target}   ({video})" for target, video in zip(targets, batch.video_id, strict=True)]


def _said(target: Tensor, class_names: Sequence[str]) -> str:
    if target.ndim == 0:
        return class_names[int(target)]
    shares: Float[Tensor, " K"] = target
    present = sorted((-float(share), k) for k, share in enumerate(shares) if share > NEGLIGIBLE)
    if not present:
        return "no label"
    if len(present) == 1 or all(
        round(-share, 2) == 1 for share, _ in present
    ):  # of one clip, or several alike
        return " + ".join(class_names[k] for _, k in present)
    return " + ".join(f"{-share:.2f} {class_names[k]}" for share, k in present)


def _row(frames: UInt8[np.ndarray, "T H W 3"], caption: str) -> UInt8[np.ndarray, "h w 3"]:
    enlarged = frames.repeat(scale := -(-LEAST_SIDE // frames.shape[1]), axis=1).repeat(scale, axis=2)
    padded = np.pad(enlarged, ((0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=255)
    strip = np.concatenate(list(padded), axis=1)
    line = Image.new("RGB", (strip.shape[1], LINE_HEIGHT), "white")
    ImageDraw.Draw(line).text((2, 2), caption, fill="black", font=ImageFont.load_default(12))
    return np.concatenate([np.asarray(line), strip])


def _tiled(pictures: Sequence[UInt8[np.ndarray, "h1 w1 3"]]) -> UInt8[np.ndarray, "h w 3"]:
    """Return pictures of one size in rows, about as many as there are columns."""
    columns = math.ceil(math.sqrt(len(pictures)))
    missing = -len(pictures) % columns
    full = [*pictures, *[np.full_like(pictures[0], 255)] * missing]
    return np.concatenate(
        [np.concatenate(full[first : first + columns], axis=1) for first in range(0, len(full), columns)]
    )
