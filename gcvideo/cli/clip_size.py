"""--clip 8x8 and --size 224: one key each for what several settings of the data say.

They are settled behind the parser, on the configuration that comes of it: config.yaml and checkpoints hold
the settings, and these two are gone. --print_config comes before that, and shows them as they were given.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from jsonargparse import ArgumentParser, Namespace

CLIP = re.compile(r"([1-9]\d*)x([1-9]\d*)")
SMALLEST = 8
"""Pixels: below it no network here leaves anything of a picture."""


def add_clip_and_size(parser: ArgumentParser) -> None:
    """Add the two keys."""
    parser.add_argument(
        "--clip",
        type=str | None,
        default=None,
        help="FRAMESxSTRIDE, as 8x8: data.clip.num_frames and data.clip.stride in one.",
    )
    parser.add_argument(
        "--size",
        type=int | None,
        default=None,
        help="Side of a clip in pixels, S: training crops of S from short sides of 8/7 S to 10/7 S, a "
        "validation crop of S from 8/7 S, test crops of 8/7 S from 8/7 S (224: 256 to 320, 256, 256; "
        "PySlowFast, X3D). Counts more than config files, and less than arguments of the settings' own.",
    )


def settle_clip_and_size(config: Namespace, arguments: Sequence[str]) -> None:
    """Put what the two keys say into the settings of the data, but for those that `arguments` name.

    Raises:
        ValueError: They say nothing that a clip can be, or the training crop is of a class without a size.
    """
    named = {argument.partition("=")[0].removeprefix("--") for argument in arguments}
    named = {key.replace(".init_args", "") for key in named}
    whole = {"data.clip", "data.val_views", "data.test_views"} & named  # given as mappings
    settings = [*_of_clip(config.clip), *_of_size(config.size, config.data, named)]
    for key, value in settings:
        if key.replace(".init_args", "") not in named and key.rpartition(".")[0] not in whole:
            config[key] = value
    config.clip = config.size = None


def _of_clip(clip: str | None) -> Iterator[tuple[str, Any]]:
    if clip is None:
        return
    counts = CLIP.fullmatch(clip)
    if counts is None:
        raise ValueError(f"clip is {clip!r}; expected FRAMESxSTRIDE, as 8x8")
    yield "data.clip.num_frames", int(counts[1])
    yield "data.clip.stride", int(counts[2])


def _of_size(size: int | None, data: Namespace, named: Collection[str]) -> Iterator[tuple[str, Any]]:
    if size is None:
        return
    if size < SMALLEST:
        raise ValueError(f"size is {size}; expected pixels, at least {SMALLEST}")
    smallest, largest = size * 8 // 7, size * 10 // 7  # 256 and 320 of 224, 182 and 228 of 160 (X3D)

    # Training
    if data.train_transform is None:
        data.train_transform = Namespace(class_path="gcvideo.data.ScaleJitter", init_args=Namespace())
        yield "data.train_transform.init_args.crop_size", size
    elif "crop_size" in data.train_transform.init_args:
        yield "data.train_transform.init_args.crop_size", size
    elif "data.train_transform.crop_size" not in named:
        raise ValueError(
            f"size is {size}, and data.train_transform {data.train_transform.class_path} takes no crop_size; "
            "set its own keys and those of data.val_views and data.test_views"
        )
    is_scaled = data.train_transform.class_path.endswith("ScaleJitter")
    if is_scaled or "min_short_side" in data.train_transform.init_args:
        yield "data.train_transform.init_args.min_short_side", smallest
        yield "data.train_transform.init_args.max_short_side", largest

    # Evaluation
    for key in ("val_views.short_side", "test_views.short_side", "test_views.crop_size"):
        yield f"data.{key}", smallest
    yield "data.val_views.crop_size", size
