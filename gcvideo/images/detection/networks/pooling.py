"""Features of regions: RoIAlign from the level of a pyramid that suits a region's size."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torchvision.ops import roi_align

FINEST = 56
"""Pixels of a region's side (root of its area) from twice which on it is pooled from the second level."""


class RegionPool(nn.Module):
    """RoIAlign (He et al., arXiv:1703.06870) from level floor(log2(sqrt(area) / 56)), 0 for the finest.

    It is Lin et al.'s equation 1 (arXiv:1612.03144) with mmdetection's roundings. torchvision's
    MultiScaleRoIAlign has no argument for aligned cells (half a pixel), samples 2 x 2 points a bin where
    mmdetection takes as many as a bin has cells, and guesses the scales of maps from the first picture.

    Args:
        strides: Pixels to a cell of every map, the finest first.
        size: Bins of a side.
    """

    def __init__(self, strides: Sequence[int], *, size: int) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.size = size

    def levels(self, boxes: Float[Tensor, "N 4"]) -> Int64[Tensor, " N"]:
        """Return from which map each box is pooled."""
        sides = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
        return (sides / FINEST + 1e-6).log2().floor().clamp(0, len(self.strides) - 1).long()

    def forward(
        self, features: Mapping[str, Float[Tensor, "B C _ _"]], boxes: Sequence[Float[Tensor, "_ 4"]]
    ) -> Float[Tensor, "N C s s"]:
        """Return the features of boxes, picture by picture; maps beyond those of strides go unused."""
        maps = list(features.values())[: len(self.strides)]
        of_picture = [box.new_full((len(box), 1), number) for number, box in enumerate(boxes)]
        regions = torch.cat([torch.cat(of_picture), torch.cat(list(boxes))], dim=1)  # N 5
        levels = self.levels(regions[:, 1:])
        pooled = maps[0].new_zeros(len(regions), maps[0].shape[1], self.size, self.size)
        for level, (feature_map, stride) in enumerate(zip(maps, self.strides, strict=True)):
            (here,) = (levels == level).nonzero(as_tuple=True)
            found = roi_align(
                feature_map,
                regions[here].to(feature_map),
                self.size,
                1 / stride,
                sampling_ratio=0,
                aligned=True,
            )
            pooled = pooled.index_put((here,), found.to(pooled))
        return pooled
