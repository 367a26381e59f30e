#!/usr/bin/env python3
"""Draw a clip as every augmentation leaves it, with the key that switches it on.

    python scripts/plot_augmentations.py scripts/docs/pictures/augmentations.png
    python scripts/plot_augmentations.py mine.png --video my.mp4 --seed 3

Without --video the clip is of the embedded data set. The seed is one for all; where nothing is drawn, as for
half of the clips that TimeReversal sees, the probability is 1 here.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import v2

from gcvideo.clip import ClipBatch, ViewBatch
from gcvideo.data import (
    ClipFrames,
    FrameDropping,
    RandomErasing,
    RandomStrideClip,
    ScaleJitter,
    TimeReversal,
    TimmRandAugment,
)
from gcvideo.data.augmentation import BlendClips, ClipAugmentation
from gcvideo.data.decoding import open_video
from gcvideo.data.grid import clip_grid
from gcvideo.data.sampling import UniformClips
from gcvideo.data.synthetic_scene import random_video
from gcvideo.data.training_transform import TrainingTransform
from gcvideo.data.transforms import Normalize

CLIP = ClipFrames(num_frames=6, stride=3)
SIDE = 96
GAP = 12
COLOURS = 96
NORMALIZE = Normalize((0.45,) * 3, (0.225,) * 3)
CROP = ScaleJitter(crop_size=SIDE, min_short_side=SIDE, max_short_side=SIDE + 30, flip_probability=0.0)
OF_CLIPS: dict[str, nn.Module] = {
    "v2.RandAugment": v2.RandAugment(num_ops=3, magnitude=12),
    "v2.TrivialAugmentWide": v2.TrivialAugmentWide(),
    "v2.AugMix": v2.AugMix(severity=6),
    "TimmRandAugment": TimmRandAugment(probability=1.0),
    "v2.ColorJitter": v2.ColorJitter(0.5, 0.5, 0.5, 0.2),
    "v2.RandomGrayscale": v2.RandomGrayscale(1.0),
    "v2.GaussianBlur": v2.GaussianBlur(11, sigma=2.0),
    "TimeReversal": TimeReversal(1.0),
    "FrameDropping": FrameDropping(0.4),
}
"""What stands in data.augment or data.device_augment."""


def main() -> None:
    arguments = _parser().parse_args()
    videos = [_frames(arguments.video, number) for number in range(2)]
    rows = _rows(*videos, seed=arguments.seed)
    half = -(-len(rows) // 2)
    columns = [_drawn(dict(list(rows.items())[part])) for part in (slice(half), slice(half, None))]
    height = max(len(column) for column in columns)
    padded = [
        np.pad(column, ((0, height - len(column)), (0, GAP), (0, 0)), constant_values=255)
        for column in columns
    ]
    picture = Image.fromarray(np.concatenate(padded, axis=1)).quantize(COLOURS)
    picture.save(arguments.picture, "PNG", optimize=True)


def _rows(video: Tensor, other: Tensor, *, seed: int) -> dict[str, UInt8[Tensor, "T H W 3"]]:
    """Return a clip for every caption."""
    plain, partner = (_cut(frames, seed) for frames in (video, other))
    rows = {"as it is (data.train_transform)": plain}
    for name, step in OF_CLIPS.items():
        torch.manual_seed(seed)
        clip = ClipAugmentation([step])(rearrange(plain, "T H W C -> T C H W"))
        rows[f"{name} (data.augment)"] = rearrange(clip, "T C H W -> T H W C")
    torch.manual_seed(seed)
    frames = RandomStrideClip(CLIP, min_stride=1, max_stride=2)(len(video))[0]
    rows["RandomStrideClip (data.train_sampler)"] = _cut(video[frames], seed)
    rows["the second of two repeats (data.repeats)"] = _cut(video, seed + 4)
    for name, settings in {
        "RandomErasing (data.random_erasing)": {"erase": RandomErasing(probability=1.0, min_area=0.1)},
        "mixup (data.blend)": {"blend": BlendClips(2, kinds=["mixup"])},
        "cutmix (data.blend)": {"blend": BlendClips(2, kinds=["cutmix"])},
    }.items():
        torch.manual_seed(seed)
        both = ClipBatch(torch.stack([plain, partner])[:, None], torch.tensor([0, 1]), ["", " "])
        views = TrainingTransform(NORMALIZE, augment=ClipAugmentation(), **settings)(both).views
        rows[name] = NORMALIZE.inverse(views)[0, 0]
    return rows


def _cut(video: Tensor, seed: int) -> UInt8[Tensor, "T H W 3"]:
    """Return the middle clip of a video, or all frames of a clip, cropped."""
    frames = UniformClips(CLIP, num_clips=1)(len(video))[0] if len(video) > CLIP.num_frames else slice(None)
    torch.manual_seed(seed)
    return rearrange(CROP.transform(rearrange(video[frames], "T H W C -> T C H W")), "T C H W -> T H W C")


def _frames(video: Path | None, number: int) -> UInt8[Tensor, "N H W 3"]:
    """Return the frames of a video, or of one of the embedded data set."""
    if video is None:
        generator = np.random.default_rng([5, number])
        return torch.from_numpy(
            random_video(generator, ("move_right", "move_up")[number], num_frames=32, height=144, width=192)
        )
    with open_video(video, "pyav", verified=None) as reader:
        frames = reader.frames_at(range(min(len(reader), 200)))
    return frames if number == 0 else frames.flip(0, 2)


def _drawn(rows: dict[str, UInt8[Tensor, "T H W 3"]]) -> UInt8[np.ndarray, "h w 3"]:
    names = [caption.partition(" (")[0] for caption in rows]
    keys = [caption.partition(" (")[2].rstrip(")") for caption in rows]
    views = NORMALIZE(torch.stack(list(rows.values()))[:, None])
    batch = ViewBatch(views, torch.arange(len(rows)), keys)
    return clip_grid(batch, NORMALIZE, names, num_clips=len(rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("picture", type=Path, help="PNG file to write")
    parser.add_argument("--video", type=Path, help="draw this video")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn")
    return parser


if __name__ == "__main__":
    main()
