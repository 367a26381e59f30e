import torch
from torch.testing import assert_close
from torchvision.models.detection.image_list import ImageList

from gcvideo.images.detection.networks.anchors import PyramidAnchors

STRIDES = (4, 8, 16, 32, 64)


def test_anchors_of_800_by_1344_pixels_are_those_of_a_plain_loop() -> None:
    images = ImageList(torch.empty(1, 3, 800, 1344), [(800, 1333)])
    sizes = [(-(-800 // stride), -(-1344 // stride)) for stride in STRIDES]
    assert sizes[-1] == (13, 21)

    (anchors,) = PyramidAnchors(STRIDES)(images, [torch.empty(1, 2, *size) for size in sizes])

    expected = []
    for (rows, columns), stride in zip(sizes, STRIDES, strict=True):
        for row in range(rows):
            for column in range(columns):
                for ratio in (0.5, 1.0, 2.0):
                    width, height = 8 * stride / ratio**0.5, 8 * stride * ratio**0.5
                    x, y = column * stride, row * stride
                    expected.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    assert_close(anchors.double(), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-4)
    assert len(anchors) == 3 * (200 * 336 + 100 * 168 + 50 * 84 + 25 * 42 + 13 * 21)


def test_anchors_are_in_single_precision_where_maps_are_not() -> None:
    images = ImageList(torch.empty(2, 3, 32, 64), [(32, 64), (30, 60)])
    maps = [torch.empty(2, 2, -(-32 // s), -(-64 // s), dtype=torch.bfloat16) for s in STRIDES]

    found = PyramidAnchors(STRIDES)(images, maps)

    assert [anchors.dtype for anchors in found] == [torch.float32] * 2
