"""Anchors of a feature pyramid."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

RATIOS = (0.5, 1.0, 2.0)
"""Of height to width."""


class PyramidAnchors(AnchorGenerator):
    """Anchors around the corners of cells, `scale * stride` wide at ratio 1, not rounded.

    torchvision rounds the corners of anchors to pixels, and its stride is the padded picture's size over the
    map's, without remainder: at 800 x 1344 pixels P6 has 13 rows, and 800 // 13 = 61 instead of 64 puts its
    last row 36 pixels off.

    Args:
        strides: Pixels to a cell of every map.
        scale: Side of an anchor of ratio 1 over the stride.
    """

    def __init__(self, strides: tuple[int, ...], *, scale: float = 8.0) -> None:
        super().__init__(
            sizes=tuple((scale * stride,) for stride in strides), aspect_ratios=(RATIOS,) * len(strides)
        )
        self.strides = strides

    def generate_anchors(
        self,
        scales: Sequence[float],
        aspect_ratios: Sequence[float],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Float[Tensor, "A 4"]:
        """Return left, top, right, bottom of the anchors around the origin, ratio by ratio."""
        sides = torch.as_tensor(scales, dtype=dtype, device=device)
        heights = torch.as_tensor(aspect_ratios, dtype=dtype, device=device).sqrt()
        half_widths = ((1 / heights)[:, None] * sides[None, :]).flatten() / 2
        half_heights = (heights[:, None] * sides[None, :]).flatten() / 2
        return torch.stack([-half_widths, -half_heights, half_widths, half_heights], dim=1)

    def forward(
        self, image_list: ImageList, feature_maps: list[Float[Tensor, "B C _ _"]]
    ) -> list[Float[Tensor, "N 4"]]:
        """Return the anchors of every picture, map by map, row by row, in single precision."""
        device = feature_maps[0].device
        self.set_cell_anchors(torch.float32, device)
        sizes = [list(feature_map.shape[-2:]) for feature_map in feature_maps]
        strides = [[torch.tensor(stride, device=device)] * 2 for stride in self.strides]
        anchors = torch.cat(self.grid_anchors(sizes, strides))
        return [anchors for _ in image_list.image_sizes]
