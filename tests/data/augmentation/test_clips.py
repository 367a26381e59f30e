import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from gcvideo.data import ClipFrames, FrameDropping, RandomStrideClip, TimeReversal, TimmRandAugment
from gcvideo.data.augmentation import ClipAugmentation


def textured() -> Tensor:
    """One textured frame [3 H W]."""
    return torch.randint(0, 256, (3, 24, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


SPATIAL = {
    "RandAugment": v2.RandAugment(num_ops=3),
    "TrivialAugmentWide": v2.TrivialAugmentWide(),
    "AugMix": v2.AugMix(),
    "ColorJitter": v2.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "RandomGrayscale": v2.RandomGrayscale(0.5),
    "GaussianBlur": v2.GaussianBlur(5),
    "RandomPerspective": v2.RandomPerspective(),
    "TimmRandAugment": TimmRandAugment(),
}


@pytest.mark.parametrize("name", SPATIAL)
def test_all_frames_of_a_clip_have_one_draw_and_clips_have_others(name):
    still = textured().expand(5, 3, 24, 32)
    augment = ClipAugmentation([SPATIAL[name]])
    found = set()
    for seed in range(8):
        torch.manual_seed(seed)
        clip = augment(still)
        assert type(clip) is Tensor
        assert torch.equal(clip, clip[:1].expand_as(clip))
        found.add(clip[0].numpy().tobytes())
    assert len(found) > 1
    assert any(one != textured().numpy().tobytes() for one in found)


def test_a_grey_clip_has_the_luminance_that_torchvision_gives_to_frames():
    grey = ClipAugmentation([v2.RandomGrayscale(1.0)])(textured().repeat(2, 1, 1, 1))
    assert torch.equal(grey, v2.functional.rgb_to_grayscale(textured(), 3).repeat(2, 1, 1, 1))


def test_augmix_alone_would_mix_every_frame_of_a_plain_tensor_by_its_own_weights():
    torch.manual_seed(0)
    clip = v2.AugMix()(textured().repeat(5, 1, 1, 1))
    assert not torch.equal(clip, clip[:1].expand_as(clip))


def numbered(num_frames: int = 40) -> Tensor:
    return torch.arange(num_frames, dtype=torch.uint8)[:, None, None, None].expand(num_frames, 3, 2, 2)


def test_a_reversed_clip_is_whole_and_half_of_them_are_reversed():
    torch.manual_seed(0)
    reverse = TimeReversal()
    starts = [int(reverse(numbered())[0, 0, 0, 0]) for _ in range(400)]
    assert set(starts) == {0, 39}
    assert starts.count(39) == pytest.approx(200, abs=50)
    assert torch.equal(TimeReversal(1.0)(numbered()), numbered().flip(0))


def test_a_lost_frame_is_the_last_one_that_was_not_lost():
    torch.manual_seed(0)
    drop = FrameDropping(0.3)
    kept = 0
    for _ in range(50):
        found = drop(numbered())[:, 0, 0, 0].tolist()
        last = 0
        for number, shown in enumerate(found):
            assert shown in (number, last)
            last = shown
            kept += shown == number
    assert kept / (50 * 40) == pytest.approx((1 + 39 * 0.7) / 40, abs=0.03)
    assert set(FrameDropping(1.0)(numbered())[:, 0, 0, 0].tolist()) == {0}


def test_a_random_stride_is_drawn_from_its_range_and_the_clip_fits():
    torch.manual_seed(0)
    sample = RandomStrideClip(ClipFrames(num_frames=4, stride=99), min_stride=2, max_stride=5)
    clips = [sample(30)[0] for _ in range(300)]
    strides = [set(clip.diff().tolist()) for clip in clips]
    assert {stride for one in strides for stride in one} == {2, 3, 4, 5}
    assert all(len(one) == 1 for one in strides)
    assert min(int(clip[0]) for clip in clips) == 0
    assert max(int(clip[-1]) for clip in clips) == 29
    assert sample(2).tolist()[0][-1] == 1  # shorter than any: the last frame is held


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            v2.Resize(12),
            r"data\.augment: Resize cannot augment a clip of uint8 \[5, 3, 24, 32\]: .* makes uint8 \[5, 3",
        ),
        (v2.ToDtype(torch.float32), "ToDtype makes float32"),
        (v2.FiveCrop(8), r"FiveCrop makes a tuple of uint8 \[5, 3, 24, 32\]; an augmentation keeps"),
        (v2.Normalize([0.5] * 3, [0.5] * 3), "Normalize cannot augment"),
        (nn.Linear(3, 3), "Linear cannot augment"),
    ],
)
def test_a_step_that_cannot_augment_a_clip_is_refused_by_name(step, said):
    before = torch.get_rng_state()
    clip = torch.zeros(5, 3, 24, 32, dtype=torch.uint8)
    ClipAugmentation([v2.RandAugment()]).require_possible(clip, key="data.augment")
    with pytest.raises(ValueError, match=said):
        ClipAugmentation([step]).require_possible(clip, key="data.augment")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TimeReversal(1.5), "probability is 1.5"),
        (lambda: FrameDropping(-0.1), "probability is -0.1"),
        (lambda: RandomStrideClip(ClipFrames(), min_stride=3, max_stride=2), "min_stride 3, max_stride 2"),
    ],
)
def test_settings_out_of_range_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
