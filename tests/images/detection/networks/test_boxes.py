import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torchvision.ops import box_iou

from gcvideo.images.detection.networks.boxes import CentredBoxCoder, suppress
from gcvideo.images.detection.networks.mask_rcnn import SPREADS


def random_boxes(count: int, *, side: float = 400.0) -> Tensor:
    corners = torch.rand(count, 2, 2) * side
    return torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=1)


@pytest.mark.parametrize("spread", [(1.0, 1.0, 1.0, 1.0), *SPREADS])
def test_decoding_is_the_papers_equation_limited_at_both_ends(
    spread: tuple[float, float, float, float],
) -> None:
    torch.manual_seed(0)
    boxes, deltas = random_boxes(50), torch.randn(50, 12) * 5 / min(spread) * 0.3
    limited = 0

    found = CentredBoxCoder(spread).decode_single(deltas, boxes)

    for n in range(50):
        left, top, right, bottom = boxes[n].double().tolist()
        for k in range(3):
            dx, dy, dw, dh = (float(deltas[n, 4 * k + i]) * spread[i] for i in range(4))
            largest = math.log(1000 / 16)
            limited += dw < -largest
            width = (right - left) * math.exp(max(-largest, min(dw, largest)))
            height = (bottom - top) * math.exp(max(-largest, min(dh, largest)))
            x = (left + right) / 2 + dx * (right - left)
            y = (top + bottom) / 2 + dy * (bottom - top)
            expected = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
            assert_close(found[n, 4 * k : 4 * k + 4].double().tolist(), expected, rtol=1e-4, atol=1e-2)
    assert limited > 0 or spread != SPREADS[0]


def test_decoding_undoes_encoding_of_boxes_that_differ_by_less_than_the_limit() -> None:
    torch.manual_seed(0)
    references = random_boxes(20) + torch.tensor([0.0, 0.0, 30.0, 30.0])
    wanted = references + torch.rand(20, 4) * 8
    coder = CentredBoxCoder(SPREADS[2])

    found = coder.decode_single(coder.encode_single(wanted, references), references)

    assert_close(found, wanted, rtol=1e-5, atol=1e-3)


def test_deltas_of_half_precision_are_decoded_in_single() -> None:
    deltas = torch.zeros(1, 4, dtype=torch.bfloat16)
    boxes = torch.tensor([[1000.3, 7.1, 1111.7, 99.2]])

    found = CentredBoxCoder(SPREADS[0]).decode_single(deltas, boxes)

    assert_close(found, boxes)


def test_suppression_is_a_plain_loop_over_each_group() -> None:
    torch.manual_seed(0)
    boxes, scores, groups = random_boxes(300, side=60.0), torch.rand(300), torch.randint(4, (300,))
    left: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        others = [kept for kept in left if groups[kept] == groups[index]]
        if not others or float(box_iou(boxes[index][None], boxes[others]).max()) <= 0.5:
            left.append(index)

    found = suppress(boxes, scores, groups, iou=0.5)

    assert found.tolist() == left
    assert 20 < len(left) < 280


def test_nothing_is_left_of_nothing() -> None:
    none = torch.zeros(0)
    assert len(suppress(torch.zeros(0, 4), none, none.long(), iou=0.5)) == 0
