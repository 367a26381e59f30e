"""A network that sees nothing but the colour of a clip, and videos that change theirs at a known moment."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from av.codec.context import Flags
from av.video.stream import VideoStream
from jaxtyping import Float
from torch import Tensor, nn

from gcvideo.cli import main
from tests.data.annotated import write_dataset
from tests.journey.trained import CONFIGS

COLOURS = {"one": (200, 30, 30), "two": (30, 200, 30), "three": (30, 30, 200)}
"""By class."""
TICKS_PER_SECOND = 90_000
SAMPLES_PER_SECOND = 48_000
LOUDEST = {"s16": 2**15 - 1, "s16p": 2**15 - 1, "flt": 1, "fltp": 1}


class MeanColour(nn.Module):
    """The likeliest class is the one whose channel is the brightest."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(5.0))

    def forward(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B K"]:
        return self.scale * clip.mean(dim=(2, 3, 4))


class LearntColour(nn.Module):
    """Knows nothing at first, and may learn which class has which mean colour."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(3, num_classes)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def features(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B 3"]:
        return clip.mean(dim=(2, 3, 4))

    def forward(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B K"]:
        return self.layer(self.features(clip))


def write_checkpoint(folder: Path) -> Path:
    """Of MeanColour, on clips of 4 frames at stride 4."""
    root = write_dataset(folder / "data", train=2, val=2, test=2)
    views = "{num_clips: 2, num_crops: 1, short_side: 32, crop_size: 32}"
    main(
        [
            "fit",
            *(f"--config={CONFIGS / file}.yaml" for file in ("base", "data/folder")),
            *("--data.root", str(root), "--run_dir", str(folder / "run")),
            *("--model.network", f"{__name__}.MeanColour", "--model.learning_rate", "0"),
            *("--data.clip", "{num_frames: 4, stride: 4}"),
            *("--data.train_transform.init_args.crop_size", "32"),
            *("--data.train_transform.init_args.min_short_side", "32"),
            *("--data.train_transform.init_args.max_short_side", "40"),
            *("--data.val_views", views, "--data.test_views", views),
            *("--data.batch_size", "2", "--data.num_workers", "0"),
            *("--trainer.accelerator", "cpu", "--trainer.max_epochs", "1"),
            *("--trainer.enable_progress_bar", "false", "--trainer.log_every_n_steps", "1"),
        ]
    )
    return folder / "run" / "checkpoints" / "last.ckpt"


def write_film(
    path: Path,
    scenes: Sequence[tuple[str, int, int]],
    *,
    quarter_turns: int = 0,
    sound: str | None = None,
    tone_from: float = 0.0,
) -> list[float]:
    """Write a video of one colour after another, and return when each frame is shown, in seconds.

    Args:
        path: The file; its kind follows from its name.
        scenes: Class of the colour, number of frames, frames per second.
        quarter_turns: How often a player has to turn the picture counter-clockwise.
        sound: The encoder of the sound, if any: silence, and then a tone to the end.
        tone_from: When the tone begins, in seconds.
    """
    ticks = [0]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS_PER_SECOND)
        stream.codec_context.flags |= Flags.frame_duration
        if quarter_turns:
            stream.set_display_rotation(90 * quarter_turns)
        audio = container.add_stream(sound, rate=SAMPLES_PER_SECOND, layout="mono") if sound else None
        for name, num_frames, fps in scenes:
            picture = np.full((48, 64, 3), COLOURS[name], dtype=np.uint8)
            for _ in range(num_frames):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.duration = ticks[-1], TICKS_PER_SECOND // fps
                frame.time_base = Fraction(1, TICKS_PER_SECOND)
                container.mux(stream.encode(frame))
                ticks.append(ticks[-1] + frame.duration)
        container.mux(stream.encode())
        if audio is not None:
            for samples in _tone(ticks[-1] / TICKS_PER_SECOND, tone_from=tone_from):
                container.mux(audio.encode(samples))
            container.mux(audio.encode())
    return [tick / TICKS_PER_SECOND for tick in ticks[:-1]]


def tone_begins(path: Path) -> float:
    """When the tone of a film is first heard, in seconds from its first frame."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        first = min(packet.pts for packet in container.demux(video) if packet.pts is not None)
        starts_at = first * float(video.time_base or 0)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            sample = np.abs(frame.to_ndarray().astype(np.float64)).reshape(-1)
            loud = np.flatnonzero(sample > 0.2 * LOUDEST[frame.format.name])
            if len(loud) and frame.pts is not None:
                return frame.pts * float(frame.time_base) + loud[0] / frame.sample_rate - starts_at
    raise ValueError(f"{path}: no tone is heard")


def _tone(seconds: float, *, tone_from: float) -> Iterator[av.AudioFrame]:
    moments = np.arange(round(seconds * SAMPLES_PER_SECOND)) / SAMPLES_PER_SECOND
    loudness = np.where(moments >= tone_from, np.sin(2 * np.pi * 500 * moments), 0)
    for first in range(0, len(moments), 1024):
        part = (loudness[None, first : first + 1024] * LOUDEST["s16"]).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(part, "s16", "mono")
        frame.sample_rate, frame.pts = SAMPLES_PER_SECOND, first
        frame.time_base = Fraction(1, SAMPLES_PER_SECOND)
        yield frame
