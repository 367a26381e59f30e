"""Deformable convolution against the sum of the paper, tap by tap."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gcvideo.images.backbones import DeformableConv


def bilinear(x: Tensor, row: float, column: float) -> Tensor:
    """Return x [C H W] at a place between its cells; outside is 0."""
    found = torch.zeros(x.shape[0], dtype=x.dtype)
    for r, c in itertools.product(*((math.floor(v), math.floor(v) + 1) for v in (row, column))):
        if 0 <= r < x.shape[1] and 0 <= c < x.shape[2]:
            found += (1 - abs(row - r)) * (1 - abs(column - c)) * x[:, r, c]
    return found


@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (2, 1, 2), (1, 2, 4)])
def test_each_output_is_the_sum_over_moved_taps(stride: int, dilation: int, groups: int) -> None:
    torch.manual_seed(0)
    conv = DeformableConv(4, 8, stride=stride, dilation=dilation, groups=groups).double()
    for parameter in conv.conv_offset.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    x = torch.randn(1, 4, 6, 5, dtype=torch.float64)
    conv.requires_grad_(False)
    found, offsets = conv(x)[0], conv.conv_offset(x)[0]
    expected = torch.zeros_like(found)
    inputs, outputs = 4 // groups, 8 // groups
    for row, column in itertools.product(range(found.shape[1]), range(found.shape[2])):
        for tap in range(9):
            move_row, move_column = offsets[2 * tap, row, column], offsets[2 * tap + 1, row, column]
            at_row = row * stride + (tap // 3 - 1) * dilation + float(move_row)
            at_column = column * stride + (tap % 3 - 1) * dilation + float(move_column)
            read = bilinear(x[0], at_row, at_column)
            for group in range(groups):
                of_group = slice(group * outputs, (group + 1) * outputs)
                weight = conv.weight[of_group, :, tap // 3, tap % 3]
                expected[of_group, row, column] += weight @ read[group * inputs : (group + 1) * inputs]
    torch.testing.assert_close(found, expected)


def test_it_begins_as_the_convolution_that_it_stands_for() -> None:
    conv, x = DeformableConv(4, 6, stride=2), torch.randn(2, 4, 9, 8)
    torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight, stride=2, padding=1))
