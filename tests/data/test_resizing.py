import random

import pytest
import torch
from torchvision.transforms.v2 import functional as TF

from gcvideo.data.resizing import Window, resized_window, size_for


def noise(num_frames: int, height: int, width: int) -> torch.Tensor:
    """Frames as a decoder leaves them, channels last, whose every pixel differs from its neighbours."""
    return torch.randint(0, 256, (num_frames, height, width, 3), dtype=torch.uint8).permute(0, 3, 1, 2)


def windows(draw: random.Random, size: tuple[int, int]):
    """Windows at every corner, the whole, and some between."""
    (top, height), (left, width) = (sorted(draw.sample(range(length + 1), 2)) for length in size)
    yield Window(0, 0, *size)
    yield Window(0, 0, height, width)
    yield Window(size[0] - 1, size[1] - 1, 1, 1)
    yield Window(top, left, size[0] - top, size[1] - left)
    yield Window(top, left, height - top, width - left)


@pytest.mark.parametrize("seed", range(40))
def test_a_window_is_that_of_the_whole_resized_frames(seed):
    """Enlarged, reduced, and where it ends at the length that the frames had."""
    draw = random.Random(seed)
    height, width = draw.randint(16, 120), draw.randint(16, 160)
    frames = noise(1 + seed % 2, height, width)
    for short_side in (draw.randint(8, 150), min(height, width) + 1, min(height, width), max(height, width)):
        size = size_for(height, width, short_side=short_side)
        whole = TF.resize(frames, [short_side])
        assert whole.shape[-2:] == size
        ends = [Window(0, 0, min(height, size[0]), min(width, size[1]))]
        for window in [*windows(draw, size), *ends]:
            found = resized_window(frames, size, window)
            expected = whole[..., window.top : window.bottom, window.left : window.right]
            assert found.shape == expected.shape
            assert (found.int() - expected.int()).abs().max() <= 1


def test_of_crops_as_training_takes_them_every_pixel_is_the_same():
    draw = random.Random(0)
    for height, width in ((256, 340), (256, 455), (340, 256), (720, 1280)):
        frames = noise(1, height, width)
        for _ in range(8):
            short_side = draw.randint(256, 320)
            size = size_for(height, width, short_side=short_side)
            window = Window(draw.randint(0, size[0] - 224), draw.randint(0, size[1] - 224), 224, 224)
            whole = TF.resize(frames, [short_side])
            expected = whole[..., window.top : window.bottom, window.left : window.right]
            torch.testing.assert_close(resized_window(frames, size, window), expected, rtol=0, atol=0)


def test_where_torch_resizes_only_floats_the_window_is_that_of_the_whole_too(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    frames = noise(2, 31, 40)
    window = Window(3, 5, 20, 20)
    expected = TF.resize(frames, [37])[..., 3:23, 5:25]
    assert torch.equal(resized_window(frames, (37, 47), window), expected)
