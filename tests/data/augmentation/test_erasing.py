import math
import random

import pytest
import torch
from scipy import stats
from timm.data.random_erasing import RandomErasing as OfTimm
from torch import Tensor

from gcvideo.data import RandomErasing
from gcvideo.data.augmentation.erasing import box_size

SIZE = 40, 56


def erased(num_clips: int, **settings) -> Tensor:
    return RandomErasing(**settings)(torch.full((num_clips, 1, 3, 4, *SIZE), 9.0))


def test_a_clip_has_one_box_in_all_frames_and_fresh_normal_noise_in_each():
    torch.manual_seed(0)
    clips = torch.full((300, 1, 3, 4, *SIZE), 9.0)
    found = RandomErasing(probability=1.0)(clips)
    assert (clips == 9.0).all()  # which others may still want
    boxes = set()
    for clip in found[:, 0]:
        inside = clip != 9.0
        box = inside[0, 0]
        assert torch.equal(inside, box.expand_as(inside))
        rows, columns = box.any(1).nonzero().flatten(), box.any(0).nonzero().flatten()
        assert box.sum() == len(rows) * len(columns) > 0
        boxes.add((rows[0].item(), columns[0].item(), len(rows), len(columns)))
        assert not torch.equal(clip[:, 0], clip[:, 1])
    assert len(boxes) > 250
    noise = found[found != 9.0]
    assert stats.kstest(noise[:5000].numpy(), "norm").pvalue > 0.01


def test_boxes_are_of_the_areas_and_aspects_asked_for():
    torch.manual_seed(0)
    erase = RandomErasing(min_area=0.1, max_area=0.2, min_aspect=0.5)
    boxes = [erase.draw_box(200, 200) for _ in range(1000)]
    areas = [height * width / 200**2 for _, _, height, width in boxes]
    aspects = [math.log(height / width) for _, _, height, width in boxes]
    assert stats.kstest(areas, stats.uniform(0.1, 0.1).cdf).pvalue > 0.01
    assert stats.kstest(aspects, stats.uniform(-math.log(2), 2 * math.log(2)).cdf).pvalue > 0.01
    assert min(top for top, *_ in boxes) < 10
    assert max(top + height for top, _, height, _ in boxes) > 190


def test_a_box_is_timms_for_the_same_draws(monkeypatch):
    for number in range(20):
        area, aspect = 0.02 + 0.015 * number, math.exp(-0.6 + 0.06 * number)
        uniform = iter([area, math.log(aspect)])
        monkeypatch.setattr(random, "uniform", lambda *_, uniform=uniform: next(uniform))
        monkeypatch.setattr(random, "randint", lambda low, high: high // 2)
        image = torch.full((3, *SIZE), 9.0)
        OfTimm(probability=1.0, mode="pixel", device="cpu")(image)
        box = (image != 9.0)[0]
        assert box_size(area * SIZE[0] * SIZE[1], aspect) == (box.any(1).sum(), box.any(0).sum())
    ours, theirs = RandomErasing(), OfTimm()
    assert ours.areas == (theirs.min_area, theirs.max_area)
    assert ours.log_aspects == pytest.approx(theirs.log_aspect_ratio)


def test_clips_are_erased_with_the_probability_asked_for():
    torch.manual_seed(0)
    assert (erased(400) != 9.0).flatten(1).any(1).float().mean() == pytest.approx(0.25, abs=0.06)
    assert (erased(20, probability=0.0) == 9.0).all()


def test_where_no_box_fits_nothing_is_erased():
    assert (erased(5, probability=1.0, min_area=1.0, max_area=1.0) == 9.0).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"probability": -1.0}, "is -1.0"),
        ({"min_area": 0.5}, "min_area 0.5"),
        ({"min_aspect": 3.0}, "min_aspect 3.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, said):
    with pytest.raises(ValueError, match=r"data\.random_erasing.*" + said):
        RandomErasing(**settings)
