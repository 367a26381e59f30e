"""Videos that have any of three colours, and blink or do not; and a network that can tell."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import av
import numpy as np
import torch
from av.video.stream import VideoStream
from torch import Tensor, nn

CLASS_NAMES = ["red", "green", "blue", "blinking", "ultraviolet"]
"""No video is ultraviolet."""


class ColourAndBlinking(nn.Module):
    """A linear layer on the mean of each channel, and on how much they change from frame to frame."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(4, num_classes)

    def forward(self, clip: Tensor) -> Tensor:
        of_frames = clip.mean(dim=(3, 4))  # [B 3 T]
        change = of_frames.diff(dim=2).abs().mean(dim=(1, 2))
        return self.head(torch.cat([of_frames.mean(dim=2), change[:, None]], dim=1))


def write_videos(root: Path) -> Path:
    """Sixteen videos, one of every set of labels, and lists of them all."""
    root.mkdir(parents=True)
    rows = ["path,label"]
    for number, there in enumerate(product((0, 1), repeat=4)):
        labels = [k for k, is_there in enumerate(there) if is_there]
        write(root / f"{number:02d}.mp4", frames(labels, np.random.default_rng(number)))
        rows.append(f"{number:02d}.mp4,{';'.join(map(str, labels))}")
    for split in ("train", "val", "test"):
        (root / f"{split}.csv").write_text("\n".join(rows) + "\n")
    (root / "classes.txt").write_text("\n".join(CLASS_NAMES) + "\n")
    return root


def frames(labels: Sequence[int], rng: np.random.Generator) -> list[np.ndarray]:
    colour = np.array([200 if k in labels else 60 for k in range(3)])
    shades = [0.55 if 3 in labels and t % 2 else 1.0 for t in range(12)]
    return [
        np.clip(shade * colour + rng.normal(0, 6, (32, 32, 3)), 0, 255).astype(np.uint8) for shade in shades
    ]


def write(path: Path, pictures: Sequence[np.ndarray]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
