import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from gcvideo.images.detection.networks.transform import MEAN, STD, PictureTransform, resized_shape
from tests.images.detection.networks.small import target


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((480, 640), (800, 1067)),  # 1066.67
        ((427, 640), (800, 1199)),  # 1199.06
        ((640, 427), (1199, 800)),
        ((500, 1333), (500, 1333)),  # the long side limits
        ((100, 1000), (133, 1333)),  # 133.3
        ((375, 500), (800, 1067)),
        ((333, 500), (800, 1201)),  # 1201.2
        ((3, 4), (800, 1067)),
    ],
)
def test_sizes_of_resized_pictures_are_rounded(before: tuple[int, int], after: tuple[int, int]) -> None:
    assert resized_shape(*before, min_size=800, max_size=1333) == after


def resized_by_loops(levels: Tensor, height: int, width: int) -> Tensor:
    """Bilinear between pixels' centres, in double precision."""
    rows, columns = levels.shape[1:]
    found = torch.zeros(3, height, width, dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            row = min(max((y + 0.5) * rows / height - 0.5, 0.0), rows - 1.0)
            column = min(max((x + 0.5) * columns / width - 0.5, 0.0), columns - 1.0)
            for i in (int(row), min(int(row) + 1, rows - 1)):
                for j in {int(column), min(int(column) + 1, columns - 1)}:
                    weight = max(0.0, 1 - abs(row - i)) * max(0.0, 1 - abs(column - j))
                    found[:, y, x] += weight * levels[:, i, j].double()
                if int(row) == rows - 1:
                    break
    return found


def test_pictures_are_resized_at_whole_levels_then_normalised_and_padded_with_zeros() -> None:
    torch.manual_seed(0)
    levels = [torch.randint(256, (3, 14, 20)), torch.randint(256, (3, 25, 10))]

    batch, _ = PictureTransform(20, 40)([picture / 255 for picture in levels])

    assert batch.image_sizes == [(20, 29), (40, 16)]
    assert batch.tensors.shape == (2, 3, 64, 32)
    for picture, (height, width), made in zip(levels, batch.image_sizes, batch.tensors, strict=True):
        mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
        found = made[:, :height, :width] * std + mean
        assert_close(found, found.round(), rtol=0, atol=1e-4)
        expected = resized_by_loops(picture, height, width)
        assert float((found - expected).abs().max()) <= 1.0
        assert not made[:, height:].any()
        assert not made[:, :, width:].any()


def test_instances_are_resized_with_their_picture() -> None:
    picture = torch.zeros(3, 14, 20)
    instances = target((2, 3, 10, 7), height=14, width=20)

    _, resized = PictureTransform(28, 80)([picture], [instances])

    assert resized is not None
    assert resized[0]["boxes"].tolist() == [[4, 6, 20, 14]]
    assert resized[0]["masks"].shape == (1, 28, 40)
    assert resized[0]["masks"][0, 6:14, 4:20].all()
    assert int(resized[0]["masks"].sum()) == 8 * 16
    assert instances["boxes"].tolist() == [[2, 3, 10, 7]]  # as they were
