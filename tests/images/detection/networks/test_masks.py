import torch

from gcvideo.images.detection.networks.masks import paste


def test_masks_are_pasted_at_the_centres_of_pixels() -> None:
    torch.manual_seed(0)
    height, width, size = 40, 50, 7
    boxes = torch.tensor(
        [[3.3, 4.7, 20.1, 30.2], [-5.0, -3.0, 12.5, 60.0], [30.0, 10.0, 33.0, 11.5], [47.2, 0.0, 50.0, 40.0]]
    )
    masks = torch.rand(len(boxes), 1, size, size)
    compared = 0

    found = paste(masks, boxes, height=height, width=width)

    for n, (left, top, right, bottom) in enumerate(boxes.double().tolist()):
        for y in range(height):
            for x in range(width):
                # In cells of the mask, whose centres are at halves
                row = (y + 0.5 - top) / (bottom - top) * size - 0.5
                column = (x + 0.5 - left) / (right - left) * size - 0.5
                value = 0.0
                for i in range(size):
                    for j in range(size):
                        weight = max(0.0, 1 - abs(row - i)) * max(0.0, 1 - abs(column - j))
                        value += weight * float(masks[n, 0, i, j]) if weight else 0.0
                if abs(value - 0.5) > 1e-5:
                    assert bool(found[n, 0, y, x]) == (value > 0.5), (n, y, x, value)
                    compared += value > 0.5
    assert compared > 300


def test_a_box_beside_the_picture_and_one_without_a_side_have_no_pixels() -> None:
    boxes = torch.tensor([[60.0, 60.0, 70.0, 70.0], [-9.0, -9.0, -4.0, -4.0], [5.5, 3.0, 5.5, 9.0]])

    found = paste(torch.zeros(3, 1, 28, 28), boxes, height=20, width=30)

    assert found.shape == (3, 1, 20, 30)
    assert not found.any()
