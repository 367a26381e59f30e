"""The embedded default data set: a small set of real, encoded video files that anyone can make."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8
from rich.console import Console
from rich.progress import track

from gcvideo.atomic import replacing, write_text
from gcvideo.data.synthetic_scene import DIRECTIONS, random_video

CLASSES = tuple(DIRECTIONS)
"""Class names; the index is the label."""


def write_synthetic(
    root: Path,
    *,
    num_train_per_class: int = 48,
    num_val_per_class: int = 8,
    num_test_per_class: int = 12,
    num_frames: int = 32,
    fps: int = 16,
    height: int = 72,
    width: int = 96,
    seed: int = 0,
) -> None:
    """Make a small data set of H.264 videos in 8 classes that no single frame can tell apart.

    Textured objects move in one of eight directions of the compass. A single frame looks alike
    under every class, so only a network that sees time can learn them. Mirroring swaps classes: train
    without horizontal flips. Calling again finishes what an earlier call left undone; a file that
    exists is kept as it is.

    Under root: train/, val/ and test/, each with a folder of mp4 files per class; train.csv,
    val.csv and test.csv with columns path and label; classes.txt, where line i (from 0) names
    class i; dataset.json, the settings and the versions that made the videos.

    Args:
        root: Folder to write to: new, empty, or begun by an earlier call with the same settings.
        num_train_per_class: Videos per class for training.
        num_val_per_class: Videos per class for validation.
        num_test_per_class: Videos per class for testing.
        num_frames: Frames per video.
        fps: Frames per second.
        height: Picture height in pixels: even, at least 32.
        width: Picture width in pixels: even, at least 32.
        seed: A video's content depends on the seed, its split, class and number, and on no other
            video.

    Raises:
        ValueError: A setting is out of range, or root holds something else.
    """
    num_per_class = {
        "train": num_train_per_class,
        "val": num_val_per_class,
        "test": num_test_per_class,
    }
    settings = {
        **{f"num_{split}_per_class": num_videos for split, num_videos in num_per_class.items()},
        "num_frames": num_frames,
        "fps": fps,
        "height": height,
        "width": width,
        "seed": seed,
    }
    check_settings(settings)
    claim_folder(root, settings)

    for split_index, (split, num_videos) in enumerate(num_per_class.items()):
        videos = list(product(range(num_videos), enumerate(CLASSES)))
        rows = []
        for index, (label, motion) in track(videos, split, console=Console(stderr=True)):
            path = f"{split}/{motion}/{index:04d}.mp4"
            rows.append(f"{path},{label}")
            if (root / path).exists():
                continue
            rng = np.random.default_rng([seed, split_index, label, index])
            video = random_video(rng, motion, num_frames=num_frames, height=height, width=width)
            with replacing(root / path) as unfinished:
                encode_h264(unfinished, video, fps=fps)
        write_if_absent(root / f"{split}.csv", ["path,label", *rows])
    write_if_absent(root / "classes.txt", CLASSES)


def check_settings(settings: dict[str, int]) -> None:
    """Raise ValueError, naming the first setting that is out of range."""
    for name, found in settings.items():
        if name in ("height", "width"):
            if found < 32 or found % 2:
                raise ValueError(f"{name} is {found}; expected an even number from 32 on")
        elif found < (smallest := 0 if name == "seed" else 1):
            raise ValueError(f"{name} is {found}; expected a number from {smallest} on")


def claim_folder(
    root: Path, settings: Mapping[str, int | str], *, packages: Sequence[str] = ("gcvideo", "av", "numpy")
) -> None:
    """Write dataset.json into a new or empty folder, or find it there with the same settings."""
    description = root / "dataset.json"
    if description.exists():
        found = json.loads(description.read_text())["settings"]
        for name, asked in settings.items():
            if found.get(name) != asked:
                raise ValueError(
                    f"{root}: {name}={asked} was asked, but what it holds was made with "
                    f"{name}={found.get(name)}; ask for the same, or name another folder"
                )
        return
    if root.exists() and any(path.suffix != ".partial" for path in root.iterdir()):
        raise ValueError(f"{root}: holds files but no dataset.json; expected a new or an empty folder")
    versions = {package: version(package) for package in packages}
    write_if_absent(description, [json.dumps({"settings": settings, "versions": versions}, indent=2)])


def write_if_absent(file: Path, lines: Sequence[str]) -> None:
    """Write a text file, or keep the one that is there."""
    if not file.exists():
        write_text(file, "\n".join(lines) + "\n")


def encode_h264(path: Path, video: UInt8[np.ndarray, "T H W 3"], *, fps: int) -> None:
    """Encode as an ordinary mp4: yuv420p, B-frames, a key frame and a closed GOP every second.

    The order of frame types is fixed, lest it tell the class. One thread and no macroblock tree,
    with which x264 was seen to code one video in fifty differently from call to call.
    """
    frame_types = {"g": str(fps), "bf": "2", "b_strategy": "0", "sc_threshold": "0"}
    options = {"crf": "18", "preset": "fast", "threads": "1", "mbtree": "0", **frame_types}
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.height, stream.width = video.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for picture in video:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
