import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from gcvideo.clip import ClipBatch
from gcvideo.data.augmentation import BlendClips
from gcvideo.data.transforms import (
    AreaJitter,
    DeviceTransform,
    Normalize,
    ScaleJitter,
    UniformCrops,
)


def frames_that_show_their_positions(num_frames: int, height: int, width: int) -> Tensor:
    """Frames [N 3 H W] whose red is the row, green the column and blue the frame; rows and columns < 256."""
    row = torch.arange(height)[:, None].expand(num_frames, height, width)
    column = torch.arange(width).expand(num_frames, height, width)
    number = torch.arange(num_frames)[:, None, None].expand(num_frames, height, width)
    return torch.stack([row, column, number], dim=1).to(torch.uint8)


def jitters():
    yield "scale", lambda: ScaleJitter(crop_size=48, min_short_side=56, max_short_side=80)
    yield "area", lambda: AreaJitter(crop_size=48)


@pytest.mark.parametrize("jitter", [make for _, make in jitters()], ids=[name for name, _ in jitters()])
def test_all_frames_of_a_clip_get_the_same_crop_and_flip(jitter):
    frames = frames_that_show_their_positions(6, 64, 90)
    crops = []
    for seed in range(12):
        torch.manual_seed(seed)
        cropped = jitter().transform(frames)
        assert cropped.dtype == torch.uint8
        assert cropped.shape == (6, 3, 48, 48)
        assert torch.equal(cropped[:, :2], cropped[:1, :2].expand(6, -1, -1, -1))  # where: the same
        assert cropped[:, 2].flatten(1).unique(dim=1).flatten().tolist() == list(range(6))  # which: their own
        crops.append(cropped[0])
    columns = [crop[1].int() for crop in crops]
    mirrored = [bool(column[24, 0] > column[24, -1]) for column in columns]
    assert any(mirrored)
    assert not all(mirrored)
    assert len({crop.sum().item() for crop in crops}) == 12


@pytest.mark.parametrize("jitter", [ScaleJitter, AreaJitter])
def test_flips_can_be_left_out(jitter):
    frames = frames_that_show_their_positions(1, 250, 250)
    for seed in range(12):
        torch.manual_seed(seed)
        column = jitter(flip_probability=0.0).transform(frames)[0, 1].int()
        assert (column.diff(dim=1) >= 0).all()


@pytest.mark.parametrize(("height", "width"), [(40, 60), (64, 90), (91, 50), (70, 70), (300, 411), (21, 37)])
def test_scale_jitter_is_torchvisions_resize_crop_and_flip(height, width):
    """Of the whole frames, from the same draws, and with the same left to be drawn."""
    frames = torch.randint(0, 256, (3, height, width, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    ours = ScaleJitter(crop_size=20, min_short_side=20, max_short_side=90)
    theirs = v2.Compose([v2.RandomResize(20, 91), v2.RandomCrop(20), v2.RandomHorizontalFlip()])
    for seed in range(200):
        torch.manual_seed(seed)
        found, drawn_next = ours.transform(frames), torch.rand(1)
        torch.manual_seed(seed)
        expected = theirs(frames)
        assert torch.equal(torch.rand(1), drawn_next)
        assert (found.int() - expected.int()).abs().max() <= 1


def test_a_crop_as_large_as_the_short_side_fits_videos_of_every_size():
    for size in range(60, 130):
        frames = torch.zeros(1, 3, size, size + 7, dtype=torch.uint8)
        jitter = ScaleJitter(crop_size=116, min_short_side=116, max_short_side=116)
        assert jitter.transform(frames).shape == (1, 3, 116, 116)


@pytest.mark.parametrize("sizes", [(224, 200, 320), (224, 256, 255)])
def test_sizes_that_do_not_fit_each_other_are_refused(sizes):
    crop, smallest, largest = sizes
    with pytest.raises(ValueError, match="expected crop_size <= min_short_side <= max_short_side"):
        ScaleJitter(crop_size=crop, min_short_side=smallest, max_short_side=largest)


@pytest.mark.parametrize(("height", "width"), [(64, 110), (110, 64), (64, 64)])
def test_three_crops_reach_both_ends_of_the_long_side_and_one_is_its_centre(height, width):
    frames = frames_that_show_their_positions(2, height, width)  # at its size already: nothing to resize
    crops = UniformCrops(short_side=64, crop_size=64, num_crops=3)(frames)
    middle = slice(23, 23 + 64) if height != width else slice(0, 64)
    long = 3 if width > height else 2
    ends = [slice(0, 64), middle, slice(max(height, width) - 64, None)]
    for crop, place in zip(crops, ends, strict=True):
        expected = frames[..., place] if long == 3 else frames[:, :, place]
        assert torch.equal(crop, expected)

    (centre,) = UniformCrops(short_side=64, crop_size=64, num_crops=1)(frames)
    assert torch.equal(centre, crops[1])


@pytest.mark.parametrize(("height", "width"), [(64, 100), (100, 64)])
def test_a_crop_smaller_than_the_short_side_is_centred_on_it(height, width):
    frames = frames_that_show_their_positions(1, height, width)
    (centre,) = UniformCrops(short_side=64, crop_size=48, num_crops=1)(frames)
    assert centre[0, 0, 0, 0] == (height - 48) // 2
    assert centre[0, 1, 0, 0] == (width - 48) // 2
    first, _, last = UniformCrops(short_side=64, crop_size=48, num_crops=3)(frames)
    if width > height:
        assert (first[0, :2, 0, 0].tolist(), last[0, :2, -1, -1].tolist()) == ([8, 0], [55, 99])
    else:
        assert (first[0, :2, 0, 0].tolist(), last[0, :2, -1, -1].tolist()) == ([0, 8], [99, 55])


@pytest.mark.parametrize(("num_crops", "crop_size"), [(0, 48), (1, 80)])
def test_crops_that_cannot_be_cut_are_refused(num_crops, crop_size):
    with pytest.raises(ValueError, match=f"{num_crops} crops of {crop_size} from a short side of 64"):
        UniformCrops(short_side=64, crop_size=crop_size, num_crops=num_crops)


def test_a_resize_in_uint8_is_within_one_grey_level_of_the_one_in_float():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (2, 3, 96, 130), dtype=torch.uint8, generator=generator)
    (whole,) = UniformCrops(short_side=60, crop_size=60, num_crops=1)(noise)
    exact = TF.resize(noise.float(), [60])
    left = round((exact.shape[-1] - 60) / 2)
    assert (whole.float() - exact[..., left : left + 60]).abs().max() <= 1


def test_normalize_is_the_formula_of_values_between_0_and_1():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    frames = torch.randint(0, 256, (2, 3, 4, 5, 6, 3), dtype=torch.uint8)
    found = Normalize(mean, std)(frames)
    assert found.shape == (2, 3, 3, 4, 5, 6)
    for channel in range(3):
        expected = (frames[..., channel].double() / 255 - mean[channel]) / std[channel]
        torch.testing.assert_close(found[:, :, channel], expected.float(), rtol=1e-5, atol=1e-6)


def test_normalised_views_lie_in_memory_as_channels_last():
    views = Normalize((0.45,) * 3, (0.225,) * 3)(torch.zeros(2, 3, 4, 5, 6, 3, dtype=torch.uint8))
    assert views.flatten(0, 1).is_contiguous(memory_format=torch.channels_last_3d)


def views_of_four_clips() -> Tensor:
    """Clips [4 1 3 2 8 8]: every value says which clip and which frame it is from."""
    clip = torch.tensor([0.0, 1.0, 10.0, 100.0])[:, None]
    frame = torch.tensor([0.0, 1000.0])
    return (clip + frame)[:, None, None, :, None, None].expand(4, 1, 3, 2, 8, 8).contiguous()


LABELS = torch.tensor([0, 1, 2, 3])


@pytest.mark.parametrize("seed", range(5))
def test_mixup_mixes_clips_and_labels_in_the_same_share_frame_by_frame(seed):
    torch.manual_seed(seed)
    views = views_of_four_clips()
    mixed, target = BlendClips(5, kinds=["mixup"])(views.clone(), LABELS)
    assert (target >= 0).all()
    torch.testing.assert_close(target.sum(1), torch.ones(4))
    assert (target[:, 4] == 0).all()
    assert (target > 0).sum() == 8  # each clip with one partner
    # A clip is the convex combination that its target states, of the same frames.
    expected = torch.einsum("bk,kvcthw->bvcthw", target[:, :4], views)
    torch.testing.assert_close(mixed, expected)


@pytest.mark.parametrize("seed", range(5))
def test_cutmix_cuts_one_box_out_of_all_frames_and_its_share_of_the_label(seed):
    torch.manual_seed(seed)
    views = views_of_four_clips()
    mixed, target = BlendClips(5, kinds=["cutmix"])(views.clone(), LABELS)
    torch.testing.assert_close(target.sum(1), torch.ones(4))
    replaced = mixed != views  # B 1 3 T H W
    box = replaced[0, 0, 0, 0]
    assert torch.equal(replaced, box.expand_as(replaced))
    rows, columns = box.any(1).nonzero(), box.any(0).nonzero()
    if box.any():
        assert box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
    for clip in range(4):
        partner = clip - 1
        assert torch.equal(mixed[clip][replaced[clip]], views[partner][replaced[clip]])
        torch.testing.assert_close(target[clip, LABELS[partner]], box.float().mean())


def test_cutmix_changes_something():
    torch.manual_seed(0)
    blend = BlendClips(5, kinds=["cutmix"])
    views = views_of_four_clips()
    assert sum(not torch.equal(blend(views.clone(), LABELS)[0], views) for _ in range(10)) >= 5


def test_both_kinds_of_blending_are_drawn_where_both_are_named():
    torch.manual_seed(0)
    blend = BlendClips(5, kinds=["mixup", "cutmix"])
    views = views_of_four_clips()
    kinds = {bool(torch.isin(blend(views.clone(), LABELS)[0], views).all()) for _ in range(20)}
    assert kinds == {True, False}  # cutmix makes no new value, mixup does


def test_without_blending_labels_stay_labels_and_clips_are_only_normalised():
    frames = torch.randint(0, 256, (4, 1, 2, 8, 8, 3), dtype=torch.uint8)
    normalize = Normalize((0.45,) * 3, (0.225,) * 3)
    views, target, names, _ = DeviceTransform(normalize)(ClipBatch(frames, LABELS, ["a", "b", "c", "d"]))
    assert torch.equal(views, normalize(frames))
    assert torch.equal(target, LABELS)
    assert names == ["a", "b", "c", "d"]


def test_blending_sees_normalised_clips():
    frames = torch.randint(0, 256, (4, 1, 2, 8, 8, 3), dtype=torch.uint8)
    normalize = Normalize((0.45,) * 3, (0.225,) * 3)
    blend = BlendClips(4, kinds=["mixup"])
    torch.manual_seed(1)
    views, target, *_ = DeviceTransform(normalize, blend)(ClipBatch(frames, LABELS, list("abcd")))
    expected = torch.einsum("bk,kvcthw->bvcthw", target, normalize(frames))
    torch.testing.assert_close(views, expected)


def test_a_smaller_crop_of_multigrid_begins_at_a_smaller_short_side():
    """PySlowFast: the smallest side times crop / full crop, the largest as it is; flips and areas stay."""
    small = ScaleJitter(flip_probability=0.0).at_crop_size(112)
    theirs = v2.Compose([v2.RandomResize(128, 321), v2.RandomCrop(112)])
    frames = torch.arange(400, dtype=torch.uint8).expand(1, 3, 300, 400).contiguous()
    for seed in range(20):
        torch.manual_seed(seed)
        found = small.transform(frames)
        torch.manual_seed(seed)
        assert (found.int() - theirs(frames).int()).abs().max() <= 1
    assert small.transform(frames).shape[-2:] == (112, 112)
    columns = small.transform(frames)[0, 0, 0].float()
    assert (columns.diff() >= 0).float().mean() > 0.9  # not flipped
    assert AreaJitter().at_crop_size(112).transform(frames).shape[-2:] == (112, 112)
