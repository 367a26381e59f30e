from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms import v2

from gcvideo.clip import ClipBatch, Unreadable, VideoRecord
from gcvideo.data.augmentation import BlendClips, ClipAugmentation, RandomErasing
from gcvideo.data.training_transform import TrainingTransform, separate
from gcvideo.data.transforms import Normalize

NORMALIZE = Normalize((0.45,) * 3, (0.225,) * 3)
NAMES = ["a", "b", "c"]


def batch(num_videos: int = 3, num_clips: int = 2) -> ClipBatch:
    """Clips of 4 equal frames, all clips different."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(
        0, 256, (num_videos, num_clips, 1, 8, 8, 3), dtype=torch.uint8, generator=generator
    )
    return ClipBatch(frames.repeat(1, 1, 4, 1, 1, 1), torch.arange(num_videos), NAMES[:num_videos])


def test_the_clips_of_a_video_stand_a_batch_apart_with_their_label_and_name():
    lost = Unreadable(VideoRecord(Path("d.mp4"), 0, "d"), "gone")
    given = batch()._replace(unreadable=(lost,))
    found = separate(given)
    assert found.video_id == ["a", "b", "c", "a", "b", "c"]
    assert found.label.tolist() == [0, 1, 2, 0, 1, 2]
    assert found.unreadable == (lost, lost)  # so many clips are missing
    for number in range(6):
        assert torch.equal(found.frames[number, 0], given.frames[number % 3, number // 3])


def test_no_clip_is_blended_with_its_own_video():
    """torchvision blends with the clip before, which in another order would be of the same video."""
    torch.manual_seed(0)
    for num_videos in (2, 3):
        for kinds in (["mixup"], ["cutmix"]):
            blend = BlendClips(3, kinds=kinds)
            transform = TrainingTransform(NORMALIZE, augment=ClipAugmentation(), blend=blend)
            targets = torch.cat([transform(batch(num_videos)).target for _ in range(20)])
            assert targets.shape == (20 * 2 * num_videos, 3)
            others = targets.topk(2).values[:, 1]
            # Mixup's share is 0 or 1 never; a box of cutmix may have no size.
            assert (others > 0).float().mean() > (0.99 if kinds == ["mixup"] else 0.5)


def test_where_only_one_video_could_be_read_its_clips_are_not_blended():
    transform = TrainingTransform(NORMALIZE, augment=ClipAugmentation(), blend=BlendClips(3, kinds=["mixup"]))
    given = batch(num_videos=1)
    found = transform(given)
    assert torch.equal(found.views, NORMALIZE(separate(given).frames))
    assert torch.equal(found.target, torch.tensor([[1.0, 0, 0], [1.0, 0, 0]]))


def test_every_clip_is_augmented_on_the_device_by_a_draw_of_its_own():
    torch.manual_seed(0)
    augment = ClipAugmentation([v2.ColorJitter(0.5, 0.5, 0.5, 0.1)])
    given = batch()
    given = given._replace(frames=given.frames[:1, :1].expand(3, 2, 4, 8, 8, 3))  # the same six times
    views = TrainingTransform(NORMALIZE, augment=augment)(given).views
    assert torch.equal(views, views[..., :1, :, :].expand_as(views))
    assert len({clip.numpy().tobytes() for clip in views}) == 6
    assert views.flatten(0, 1).is_contiguous(memory_format=torch.channels_last_3d)


def test_what_is_drawn_for_a_clip_follows_from_its_video_and_not_from_its_batch():
    augment, erase = ClipAugmentation([v2.ColorJitter(0.5, 0.5, 0.5, 0.1)]), RandomErasing(probability=0.8)
    transform = TrainingTransform(NORMALIZE, augment=augment, erase=erase, seed=5)
    whole = batch()._replace(epoch=3)
    views = transform(whole).views
    state = torch.get_rng_state()
    for rows in ([2], [1, 0]):  # as other processes, or another batch size, would have them
        names = [NAMES[row] for row in rows]
        part = ClipBatch(whole.frames[rows], whole.label[rows], names, epoch=3)
        assert torch.equal(transform(part).views, views[rows + [3 + row for row in rows]])
    assert torch.equal(torch.get_rng_state(), state)
    other_seed = TrainingTransform(NORMALIZE, augment=augment, erase=erase, seed=6)
    for others in (transform(whole._replace(epoch=4)).views, other_seed(whole).views):
        assert not any(torch.equal(one, other) for one, other in zip(views, others, strict=True))


class Clamped(RandomErasing):
    def __call__(self, views: Tensor) -> Tensor:
        return views.clamp(-0.1, 0.1)


def test_augmentation_precedes_normalisation_and_erasing_follows_it():
    invert = ClipAugmentation([v2.RandomInvert(1.0)])
    given = batch()
    views = TrainingTransform(NORMALIZE, augment=invert, erase=Clamped())(given).views
    assert torch.equal(views, NORMALIZE(255 - separate(given).frames).clamp(-0.1, 0.1))


def test_a_batch_of_which_no_video_could_be_read_goes_through():
    empty = ClipBatch(batch().frames[:0], torch.empty(0, dtype=torch.long), [])
    augment, blend = ClipAugmentation([v2.RandomInvert()]), BlendClips(3, kinds=["mixup"])
    found = TrainingTransform(NORMALIZE, augment=augment, blend=blend)(empty)
    assert found.views.shape == (0, 1, 3, 4, 8, 8)
    assert found.target.shape == (0, 3)
