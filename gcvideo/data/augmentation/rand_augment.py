"""RandAugment as timm and PySlowFast have it, one draw for all frames of a clip."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor, nn

from gcvideo.data.augmentation.temporal import require_probability

GREATEST = 10.0
"""Of a magnitude."""
GREY = (128, 128, 128)
"""What comes into the picture where it is moved."""
Operation = Callable[[Image.Image], Image.Image]


def _moved(*, shear_x: float = 0.0, shear_y: float = 0.0, right: float = 0.0, down: float = 0.0) -> Operation:
    matrix = (1.0, shear_x, right, shear_y, 1.0, down)
    return lambda image: image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=GREY
    )


def _rotated(degrees: float) -> Operation:
    return lambda image: image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=GREY)


def _translated(*, x: float = 0.0, y: float = 0.0) -> Operation:
    return lambda image: _moved(right=x * image.width, down=y * image.height)(image)


def _enhanced(kind: Callable[[Image.Image], Any], share: float) -> Operation:
    return lambda image: kind(image).enhance(max(0.1, 1 + 0.9 * share))


def _posterized(bits: int) -> Operation:
    # Not ImageOps.posterize, which refuses 0 bits, a black picture, in some versions of Pillow.
    table = [value & 256 - 2 ** (8 - bits) for value in range(256)]
    return lambda image: image.point(table * 3)


def _solarized_and_brightened(added: int) -> Operation:
    table = [min(255, value + added) if value < 128 else value for value in range(256)]
    return lambda image: image.point(table * 3)


OPERATIONS: dict[str, Callable[[float], Operation]] = {
    "AutoContrast": lambda share: ImageOps.autocontrast,
    "Equalize": lambda share: ImageOps.equalize,
    "Invert": lambda share: ImageOps.invert,
    "Rotate": lambda share: _rotated(30 * share),
    "PosterizeIncreasing": lambda share: _posterized(4 - int(abs(share) * 4)),
    "SolarizeIncreasing": lambda share: lambda image: ImageOps.solarize(image, 256 - int(abs(share) * 256)),
    "SolarizeAdd": lambda share: _solarized_and_brightened(int(abs(share) * 110)),
    "ColorIncreasing": lambda share: _enhanced(ImageEnhance.Color, share),
    "ContrastIncreasing": lambda share: _enhanced(ImageEnhance.Contrast, share),
    "BrightnessIncreasing": lambda share: _enhanced(ImageEnhance.Brightness, share),
    "SharpnessIncreasing": lambda share: _enhanced(ImageEnhance.Sharpness, share),
    "ShearX": lambda share: _moved(shear_x=0.3 * share),
    "ShearY": lambda share: _moved(shear_y=0.3 * share),
    "TranslateXRel": lambda share: _translated(x=0.45 * share),
    "TranslateYRel": lambda share: _translated(y=0.45 * share),
}
"""By timm's name, from a signed magnitude, in shares of the greatest, to what is done to every frame."""


class Drawn(NamedTuple):
    """An operation that was drawn."""

    name: str
    share: float
    """Magnitude by GREATEST; negative where the operation goes the other way, if it has two."""


class TimmRandAugment(nn.Module):
    """RandAugment in the form of timm and PySlowFast; the defaults are `rand-m7-n4-mstd0.5-inc1`.

    Cubuk et al., arXiv:1909.13719, of which this form differs: 15 operations that grow with the magnitude
    (timm's `inc1`), drawn with replacement, each applied with a probability and at a magnitude of its own.
    torchvision's `v2.RandAugment` has 14, always applied, at one magnitude. Bicubic, on grey, by Pillow.

    Args:
        magnitude: m, the mean magnitude, 0..10.
        num_layers: n, operations that are drawn for a clip.
        magnitude_std: mstd, standard deviation of the magnitude, which is clipped to 0..10.
        probability: p, of an operation that was drawn to be applied.
    """

    def __init__(
        self,
        *,
        magnitude: float = 7.0,
        num_layers: int = 4,
        magnitude_std: float = 0.5,
        probability: float = 0.5,
    ) -> None:
        super().__init__()
        if not (0 <= magnitude <= GREATEST and num_layers >= 1 and magnitude_std >= 0):
            raise ValueError(
                f"TimmRandAugment: magnitude {magnitude}, num_layers {num_layers}, magnitude_std "
                f"{magnitude_std}; expected 0..10, at least 1, at least 0"
            )
        self.magnitude = magnitude
        self.num_layers = num_layers
        self.magnitude_std = magnitude_std
        self.probability = require_probability(probability, "TimmRandAugment")

    def draw(self) -> list[Drawn]:
        """Draw what is done to a clip."""
        names = list(OPERATIONS)
        drawn = []
        for _ in range(self.num_layers):
            name = names[int(torch.randint(len(names), ()))]
            magnitude = float(torch.normal(self.magnitude, self.magnitude_std, ()).clamp(0, GREATEST))
            applied, forwards = (torch.rand(2) < torch.tensor([self.probability, 0.5])).tolist()
            if applied:
                drawn.append(Drawn(name, (magnitude if forwards else -magnitude) / GREATEST))
        return drawn

    def forward(self, clip: UInt8[Tensor, "T 3 H W"]) -> UInt8[Tensor, "T 3 H W"]:
        frames = [Image.fromarray(frame) for frame in clip.movedim(1, -1).cpu().numpy()]
        for name, share in self.draw():
            operation = OPERATIONS[name](share)
            frames = list(map(operation, frames))
        return (
            torch.from_numpy(np.stack([np.asarray(frame) for frame in frames])).movedim(-1, 1).to(clip.device)
        )
