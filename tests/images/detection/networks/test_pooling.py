import math

import torch
from torch import Tensor
from torch.testing import assert_close

from gcvideo.images.detection.networks.pooling import RegionPool

STRIDES = (4, 8, 16, 32)


def looked_up(map_: Tensor, y: float, x: float) -> Tensor:
    """Bilinear between cells, as RoIAlign: 0 beyond a cell outside, the border's value within it."""
    rows, columns = map_.shape[1:]
    if not (-1 <= y <= rows and -1 <= x <= columns):
        return torch.zeros(len(map_), dtype=map_.dtype)
    y, x = min(max(y, 0.0), rows - 1.0), min(max(x, 0.0), columns - 1.0)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
    b, r = y - top, x - left
    upper = map_[:, top, left] * (1 - r) + map_[:, top, right] * r
    lower = map_[:, bottom, left] * (1 - r) + map_[:, bottom, right] * r
    return upper * (1 - b) + lower * b


def pooled_by_loops(map_: Tensor, box: list[float], *, stride: int, size: int) -> Tensor:
    """Means over as many points of a bin as it has cells, whose centres are at halves."""
    left, top, right, bottom = (side / stride - 0.5 for side in box)
    height, width = (bottom - top) / size, (right - left) / size
    vertical, horizontal = math.ceil(height), math.ceil(width)
    bins = torch.zeros(len(map_), size, size, dtype=map_.dtype)
    for row in range(size):
        for column in range(size):
            for i in range(vertical):
                for j in range(horizontal):
                    y = top + (row + (i + 0.5) / vertical) * height
                    x = left + (column + (j + 0.5) / horizontal) * width
                    bins[:, row, column] += looked_up(map_, y, x) / (vertical * horizontal)
    return bins


def test_regions_are_pooled_from_the_level_of_their_size_at_aligned_cells() -> None:
    torch.manual_seed(0)
    maps = {f"c{n}": torch.randn(2, 3, 256 // s, 512 // s) for n, s in enumerate((*STRIDES, 64))}
    boxes = [
        torch.tensor([[3.2, 4.1, 40.5, 60.9], [10.0, 20.0, 130.3, 140.7], [0.0, 0.0, 500.0, 250.0]]),
        torch.tensor([[30.0, 16.5, 300.0, 240.0], [100.0, 100.0, 103.0, 101.0]]),
    ]
    expected_levels = [0, 1, 2, 2, 0]

    pool = RegionPool(STRIDES, size=3)
    found = pool(maps, boxes)

    assert pool.levels(torch.cat(boxes)).tolist() == expected_levels
    for n, (picture, box) in enumerate((p, box) for p in (0, 1) for box in boxes[p].double().tolist()):
        level = expected_levels[n]
        map_ = maps[f"c{level}"][picture].double()
        expected = pooled_by_loops(map_, box, stride=STRIDES[level], size=3)
        assert_close(found[n].double(), expected, rtol=1e-4, atol=1e-4)


def test_levels_follow_the_root_of_the_area() -> None:
    sides = torch.tensor([0.0, 1.0, 56.0, 111.9, 112.0, 223.0, 224.0, 447.0, 448.0, 5000.0])
    boxes = torch.stack([torch.zeros(10), torch.zeros(10), sides / 2, sides * 2], dim=1)

    levels = RegionPool(STRIDES, size=7).levels(boxes)

    expected = [0, *(min(max(math.floor(math.log2(s / 56 + 1e-6)), 0), 3) for s in sides[1:].tolist())]
    assert levels.tolist() == expected == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3]


def test_no_region_is_pooled_to_nothing() -> None:
    maps = {f"c{n}": torch.zeros(1, 3, 8, 8) for n in range(4)}
    assert RegionPool(STRIDES, size=7)(maps, [torch.zeros(0, 4)]).shape == (0, 3, 7, 7)
