import random
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from timm.data.auto_augment import AugmentOp, rand_augment_transform
from torch import Tensor

from gcvideo.data import TimmRandAugment
from gcvideo.data.augmentation.rand_augment import OPERATIONS, Drawn


def frames(num_frames: int = 3) -> Tensor:
    """Noise upon slopes, so that every operation does something."""
    generator = torch.Generator().manual_seed(0)
    slope = torch.linspace(20, 200, 50).expand(num_frames, 3, 40, 50)
    noise = torch.randint(0, 56, (num_frames, 3, 40, 50), generator=generator)
    return (slope + noise).to(torch.uint8)


def of_timm(op: AugmentOp, clip: Tensor) -> Tensor:
    pictures = [op(Image.fromarray(frame)) for frame in clip.movedim(1, -1).numpy()]
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).movedim(-1, 1)


@pytest.mark.parametrize("level", [0.0, 2.5, 7.0, 10.0])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_timms_to_the_bit(monkeypatch, name, level):
    settings = {"img_mean": (128, 128, 128), "interpolation": Image.Resampling.BICUBIC}
    for sign in (1, -1):
        monkeypatch.setattr(
            random, "random", lambda sign=sign: 0.9 if sign < 0 else 0.1
        )  # timm's: back above 0.5
        if (name, level) == (
            "PosterizeIncreasing",
            10.0,
        ):  # which timm has of Pillow, for which 0 bits are none
            monkeypatch.setattr(ImageOps, "posterize", lambda image, bits: image.point(lambda value: 0))
        expected = of_timm(AugmentOp(name, prob=1.0, magnitude=level, hparams=settings), frames())
        augment = TimmRandAugment()
        monkeypatch.setattr(augment, "draw", lambda sign=sign: [Drawn(name, sign * level / 10)])
        assert torch.equal(augment(frames()), expected)


def test_the_operations_are_those_of_timms_string_and_its_numbers_are_the_defaults():
    theirs = rand_augment_transform("rand-m7-n4-mstd0.5-inc1")
    assert [op.name for op in theirs.ops] == list(OPERATIONS)
    ours = TimmRandAugment()
    assert theirs.num_layers == ours.num_layers
    found = {(op.magnitude, op.magnitude_std, op.prob) for op in theirs.ops}
    assert found == {(ours.magnitude, ours.magnitude_std, ours.probability)}


def test_operations_are_drawn_with_replacement_each_with_its_own_magnitude_and_direction():
    torch.manual_seed(0)
    augment = TimmRandAugment(magnitude=9.5, magnitude_std=1.0)
    draws = [augment.draw() for _ in range(1500)]
    drawn = [one for draw in draws for one in draw]
    assert len(drawn) / 6000 == pytest.approx(0.5, abs=0.03)
    counts = Counter(name for name, _ in drawn)
    assert len(counts) == 15
    assert max(counts.values()) < 1.5 * min(counts.values())
    assert any(len({name for name, _ in draw}) < len(draw) for draw in draws)
    shares = torch.tensor([share for _, share in drawn])
    assert (shares > 0).float().mean() == pytest.approx(0.5, abs=0.05)
    # Of a normal distribution about 9.5 with deviation 1, 30.9 % lie beyond 10, where it is clipped.
    assert shares.abs().max() == 1.0
    assert (shares.abs() == 1.0).float().mean() == pytest.approx(0.309, abs=0.04)
    assert shares.abs().median() == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"magnitude": 12.0}, "magnitude 12"),
        ({"num_layers": 0}, "num_layers 0"),
        ({"probability": 2.0}, "is 2.0;"),
    ],
)
def test_settings_out_of_range_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        TimmRandAugment(**settings)
