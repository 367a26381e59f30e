"""Classes of pixels as pictures: with a palette, and laid over what they are of."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from gcvideo.atomic import replacing

OPACITY = 0.6


def palette(num_colours: int = 256) -> UInt8[np.ndarray, "num_colours 3"]:
    """Return the colours of PASCAL VOC's masks, of which the first is black.

    Bits 0, 3 and 6 of an index are the highest bits of red, 1, 4 and 7 of green, and so on: indices that lie
    close together have colours that lie apart.
    """
    index = np.arange(num_colours)[:, None]
    channel = np.arange(3)[None]
    colours = sum((index >> (3 * place + channel) & 1) << (7 - place) for place in range(8))
    return np.asarray(colours).astype(np.uint8)


def save_classes(classes: UInt8[Tensor, "H W"], file: Path) -> None:
    """Write class indices as a PNG whose palette shows them in colours."""
    image = Image.fromarray(classes.numpy())
    image.putpalette(palette().tobytes())
    with replacing(file, is_settled=False) as unfinished:
        image.save(unfinished, format="PNG")


def save_overlay(picture: UInt8[np.ndarray, "H W 3"], classes: UInt8[Tensor, "H W"], file: Path) -> None:
    """Write a picture with the classes' colours over it, but for the first class, as a PNG."""
    colours = palette()[classes.numpy()]  # [H W 3]
    mixed = (1 - OPACITY) * picture + OPACITY * colours
    drawn = np.where(classes[..., None] > 0, mixed.round(), picture).astype(np.uint8)
    with replacing(file, is_settled=False) as unfinished:
        Image.fromarray(drawn).save(unfinished, format="PNG")
