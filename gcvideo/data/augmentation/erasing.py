"""Random erasing, one box for all frames of a clip."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gcvideo.data.augmentation.temporal import require_probability

MOST_ATTEMPTS = 100


class RandomErasing:
    """Fill a box with normal noise, the same box in all frames of a clip (a tube) and fresh noise in each.

    Zhong et al., arXiv:1708.04896, as PySlowFast's `RandomErasing(mode="pixel", cube=True)`, on normalised
    clips, so that the noise has their mean and deviation. torchvision's has the same noise in all frames.

    To fill boxes in another way, subclass this.

    Args:
        probability: Of a clip to be erased in.
        min_area: Smallest share of the frame that the box takes.
        max_area: Largest share.
        min_aspect: Smallest height of the box over its width; the largest is 1 / min_aspect.
    """

    def __init__(
        self,
        *,
        probability: float = 0.25,
        min_area: float = 0.02,
        max_area: float = 1 / 3,
        min_aspect: float = 0.3,
    ) -> None:
        self.probability = require_probability(probability, "data.random_erasing")
        if not (0 < min_area <= max_area <= 1 and 0 < min_aspect <= 1):
            raise ValueError(
                f"data.random_erasing: min_area {min_area}, max_area {max_area}, min_aspect {min_aspect}; "
                "expected 0 < min_area <= max_area <= 1 and 0 < min_aspect <= 1"
            )
        self.areas = min_area, max_area
        self.log_aspects = math.log(min_aspect), -math.log(min_aspect)

    def __call__(self, views: Float[Tensor, "B V 3 T H W"]) -> Float[Tensor, "B V 3 T H W"]:
        erased = views.clone()
        for clip in erased.flatten(0, 1):  # a view of it
            if torch.rand(()) < self.probability:
                top, left, height, width = self.draw_box(*clip.shape[-2:])
                clip[..., top : top + height, left : left + width].normal_()
        return erased

    def draw_box(self, frame_height: int, frame_width: int) -> tuple[int, int, int, int]:
        """Return top, left, height and width of a box; where none fits in a hundred draws, one of no size."""
        for _ in range(MOST_ATTEMPTS):
            area = float(torch.empty(()).uniform_(*self.areas)) * frame_height * frame_width
            aspect = math.exp(float(torch.empty(()).uniform_(*self.log_aspects)))
            height, width = box_size(area, aspect)
            if height < frame_height and width < frame_width:
                top = int(torch.randint(frame_height - height + 1, ()))
                left = int(torch.randint(frame_width - width + 1, ()))
                return top, left, height, width
        return 0, 0, 0, 0


def box_size(area: float, aspect: float) -> tuple[int, int]:
    """Return height and width, in pixels, of a box of an area and of an aspect, height over width."""
    return round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
