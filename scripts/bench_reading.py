"""From a video file to the frames of one sample: gcvideo beside the ways of MMAction2 and pytorchvideo.

Each way has a process of one thread, as a loader's is, and all share one processor, in turns; what counts is
the CPU time of that process. gcvideo's keeps the memory it frees, as its loader processes do. Resizing and
cropping are torchvision's on uint8 for all but pytorchvideo, whose clips are float32 before that;
normalisation is on the device and not counted, but for pytorchvideo, which does it here.

Every file is read as it was downloaded, and as data_prep/transcode.py leaves it for training and in general;
times are divided by those of gcvideo on files for training. Then the parts of a training clip: what it takes
to open a file, to decode the packets of a clip and nothing else (the floor), and the rest.

    python scripts/bench_reading.py                          # on clips that it encodes itself
    python scripts/bench_reading.py --videos FOLDER          # on 10 s cut from your own videos
    python scripts/bench_reading.py --only testing           # the thirty views of a test; or training, parts
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from fractions import Fraction
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import av  # before decord, which brings FFmpeg libraries of its own
import decord
import numpy as np
import torch
from benchmark import add_save, benchmark_parser, describe_machine, save, with_quartiles
from pytorchvideo.data.encoded_video import EncodedVideo
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torchvision.transforms.v2 import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_prep.videos.packet_rows import packet_row
from data_prep.videos.x264 import DEFAULTS, x264_options
from gcvideo.complexity.turns import spread, times_faster
from gcvideo.data.dataset import decode_views
from gcvideo.data.decoding import open_video
from gcvideo.data.decoding.checksum import crc32_of
from gcvideo.data.decoding.index import index_stream
from gcvideo.data.decoding.packets import PacketIndex
from gcvideo.data.decoding.pyav import PyAVReader
from gcvideo.data.loading.process import MEMORY_KEPT
from gcvideo.data.random_state import RandomState
from gcvideo.data.sampling import ClipFrames, RandomClip, UniformClips
from gcvideo.data.training_clips import decode_clips
from gcvideo.data.transforms import ScaleJitter, UniformCrops
from gcvideo.memory import keep_freed_memory

console = Console(width=140)
CLIP = ClipFrames(8, 8)
OURS = "gcvideo"
SECONDS = 10
MEAN, STD = [0.45] * 3, [0.225] * 3
DOWNLOADED, GENERAL, TRAINING_FILES = "as downloaded", "transcode.py --for general", "--for training"
KINDS = {
    DOWNLOADED: {
        "preset": "medium",
        "threads": "1",
        "crf": "23",
        "bf": "3",
        "g": "250",
        "sc_threshold": "40",
    },
    GENERAL: x264_options(DEFAULTS["general"]),
    TRAINING_FILES: x264_options(DEFAULTS["training"]),
}
"""Options of x264; groups of 250 frames are its default."""


def main() -> None:
    arguments = _parser().parse_args()
    torch.set_num_threads(1)
    console.print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        clips = {
            kind: encode(arguments, Path(folder), number, options)
            for number, (kind, options) in enumerate(
                track(KINDS.items(), "encode", console=Console(stderr=True))
            )
        }
        if arguments.only in (None, "training"):
            report("training clip of 8 frames at stride 8", TRAINING, clips, arguments.rounds, arguments.save)
        if arguments.only in (None, "testing"):
            rounds = max(arguments.rounds // 4, 1)
            report("test video of 10 clips x 3 crops", TESTING, clips, rounds, arguments.save)
        if arguments.only in (None, "parts"):
            report_parts(clips, arguments.rounds)


def report(
    title: str,
    ways: dict[str, Callable[[Path], object]],
    clips: dict[str, list[Path]],
    rounds: int,
    file: Path | None,
) -> None:
    """Time some ways of reading on every kind of file, and print and save their ratios to ours."""
    calls = {name: in_own_process(way, keeps=name.startswith("gcvideo")) for name, way in ways.items()}
    table = Table(
        "way", *clips, title=f"{title}: ms of CPU time \\[quartiles], times ours on files {TRAINING_FILES}"
    )

    # All ways take turns on all kinds of each clip
    pairs = [(name, kind) for kind in clips for name in ways]
    seconds: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
    for of_one in zip(*clips.values(), strict=True):
        paths = dict(zip(clips, of_one, strict=True))
        for number in track(range(-1, rounds), title, console=Console(stderr=True)):
            for name, kind in pairs[:: 1 if number % 2 else -1]:
                taken = calls[name](paths[kind])
                if number >= 0:  # the first call allocates
                    seconds[name, kind].append(taken)

    # Ratios within a round
    ours = seconds[OURS, TRAINING_FILES]
    ratios = {pair: times_faster(taken, ours) for pair, taken in seconds.items()}
    for kind in clips:
        save(file, f"{title}, {kind}", {name: ratios[name, kind] for name in ways})

    # A row for each way
    for name in ways:
        cells = []
        for kind in clips:
            ms = spread([1e3 * s for s in seconds[name, kind]])
            cells.append(
                f"{ms.median:.1f} \\[{ms.lower:.1f} - {ms.upper:.1f}]  {with_quartiles(ratios[name, kind])} x"
            )
        table.add_row(name, *cells)
    console.print(table)


def report_parts(clips: dict[str, list[Path]], rounds: int) -> None:
    """Print what each part of reading a training clip takes on every kind of file."""
    call = in_own_process(parts_of_clip, keeps=True)
    table = Table("part", *clips, title="parts of a training clip: ms of CPU time, share")
    found: dict[str, dict[str, list[float]]] = {kind: {} for kind in clips}
    for _ in track(range(rounds), "parts", console=Console(stderr=True)):
        for kind, paths in clips.items():
            for path in paths:
                for name, seconds in call(path).items():
                    found[kind].setdefault(name, []).append(seconds)
    means = {kind: {name: 1e3 * median(s) for name, s in parts.items()} for kind, parts in found.items()}
    for name in next(iter(means.values())):
        cells = [f"{parts[name]:.2f}  {parts[name] / sum(parts.values()):.0%}" for parts in means.values()]
        table.add_row(name, *cells)
    table.add_row("all", *(f"{sum(parts.values()):.2f}" for parts in means.values()))
    console.print(table)


def parts_of_clip(path: Path) -> dict[str, float]:
    """Return the CPU seconds of each part; what is decoded is the same each time."""
    planned: list[int] = []
    reader = PyAVReader(index_stream(path))
    with reader:
        frames = RandomClip(CLIP)(len(reader))
        wanted = frames[0].tolist()
        with patch.object(PacketIndex, "plan", lambda _, positions: planned.extend(positions)):
            first = cpu_seconds(lambda: [*reader.parts_at(wanted)])
        context = reader.index.context
        surplus = context.reorder_depth + 1  # planned, and not decoded where the last frame is out before
        packets = [reader.index.packets[position] for position in planned[:-surplus]]

        def decode() -> None:
            context.flush_buffers()
            for packet in packets:
                context.decode(packet)

        floor = min(cpu_seconds(decode), cpu_seconds(decode))
        read = min(first, cpu_seconds(lambda: [*reader.parts_at(wanted)]))
        jitter, state = ScaleJitter().transform, [RandomState.now()]
        whole = cpu_seconds(lambda: decode_clips(reader, frames, jitter, state))
    opening = cpu_seconds(lambda: open_video(path).close())
    return {
        "open, demux": opening,
        "decode (the floor)": floor,
        "choose packets, RGB": max(read - floor, 0.0),
        "resize, crop, flip, put together": max(whole - read, 0.0),
    }


def cpu_seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def in_own_process(way: Callable[[Path], Any], *, keeps: bool) -> Callable[[Path], Any]:
    pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=prepare, initargs=(keeps,))
    return lambda path: pool.submit(read, way, path).result()


def prepare(keeps: bool) -> None:
    if keeps:
        keep_freed_memory(at_most=MEMORY_KEPT)
    if hasattr(os, "sched_setaffinity"):  # decord has threads of its own
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    decord.bridge.set_bridge("native")


def read(way: Callable[[Path], Any], path: Path) -> Any:
    """Return the CPU seconds of a way of reading, or what it says itself of its parts."""
    began = time.process_time()
    found = way(path)
    return found if isinstance(found, dict) else time.process_time() - began


@cache
def row_of(path: Path) -> bytes:
    """Return what verify.py keeps of a video's packets; the first call, which makes it, is not counted."""
    return packet_row(path, crc32=crc32_of(path))


def ours(path: Path, *, align: int = 1, is_indexed: bool = False) -> Tensor:
    clip = replace(CLIP, align=align)
    with open_video(path, packets=row_of(path) if is_indexed else None) as reader:
        frames = RandomClip(clip)(len(reader))
        return decode_clips(reader, frames, ScaleJitter().transform, [RandomState.now()])


def decord_clip(path: Path) -> Tensor:
    """Read as MMAction2: DecordInit, SampleFrames, DecordDecode, Resize, RandomCrop, Flip."""
    reader = decord.VideoReader(str(path), num_threads=1)
    start = random.randint(0, len(reader) - CLIP.span)
    frames = reader.get_batch(start + np.arange(8) * 8).asnumpy()
    return ScaleJitter().transform(torch.from_numpy(frames).permute(0, 3, 1, 2))


def pytorchvideo_clip(path: Path, *, decoder: str) -> Tensor:
    """Read as pytorchvideo: EncodedVideo.get_clip of the seconds, every eighth frame, float32 transforms."""
    video = EncodedVideo.from_path(str(path), decode_audio=False, decoder=decoder)
    span = 64 / 30
    start = random.uniform(0, float(video.duration) - span)
    decord.bridge.set_bridge("torch")  # as its decord reader wants, for everyone
    clip = video.get_clip(start, start + span)["video"]
    decord.bridge.set_bridge("native")
    frames = clip[:, torch.linspace(0, clip.shape[1] - 1, 8).long()] / 255
    frames = F.normalize(frames.permute(1, 0, 2, 3), MEAN, STD)
    resized = F.resize(frames, [random.randint(256, 320)], antialias=False)
    top, left = (random.randint(0, size - 224) for size in resized.shape[-2:])
    return resized[..., top : top + 224, left : left + 224]


def ours_test(path: Path, *, is_indexed: bool = False) -> Tensor:
    with open_video(path, packets=row_of(path) if is_indexed else None) as reader:
        return decode_views(reader, UniformClips(CLIP, num_clips=10)(len(reader)), THREE_CROPS)


def decord_test(path: Path) -> Tensor:
    """Read as MMAction2: all 80 frames of ten clips in one get_batch, Resize, ThreeCrop, FormatShape."""
    reader = decord.VideoReader(str(path), num_threads=1)
    starts = np.linspace(0, len(reader) - CLIP.span, 10).round().astype(int)
    frames = reader.get_batch((starts[:, None] + np.arange(8) * 8).ravel()).asnumpy()
    return torch.stack(THREE_CROPS(torch.from_numpy(frames).permute(0, 3, 1, 2)))


def decord_per_view(path: Path) -> Tensor:
    """Open the file and decode eight frames for every one of the thirty views."""
    views = []
    for view in range(30):
        reader = decord.VideoReader(str(path), num_threads=1)
        start = round((len(reader) - CLIP.span) * (view // 3) / 9)
        frames = reader.get_batch(start + np.arange(8) * 8).asnumpy()
        views.append(THREE_CROPS(torch.from_numpy(frames).permute(0, 3, 1, 2))[view % 3])
    return torch.stack(views)


def pyav_per_view(path: Path) -> Tensor:
    """Read as PySlowFast: every view seeks, takes all frames of its 64 as RGB, then resizes in float32."""
    views = []
    for view in range(30):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            first = (stream.frames - 64) * (view // 3) // 10
            ticks = int(1 / (stream.average_rate * stream.time_base))  # of the time base, per frame
            container.seek(max(first * ticks - 1024, 0), stream=stream)
            frames = []
            for frame in container.decode(stream):
                if frame.pts >= first * ticks:
                    frames.append(torch.from_numpy(frame.to_rgb().to_ndarray()))
                if len(frames) == 64:
                    break
        clip = torch.stack([frames[number] for number in torch.linspace(0, 63, 8).long()])
        normalised = F.normalize(clip.permute(0, 3, 1, 2) / 255, MEAN, STD)
        resized = F.resize(normalised, [256], antialias=False)
        left = (resized.shape[-1] - 256) * (view % 3) // 2
        views.append(resized[..., :256, left : left + 256])
    return torch.stack(views)


THREE_CROPS = UniformCrops(short_side=256, crop_size=256, num_crops=3)
TRAINING: dict[str, Callable[[Path], object]] = {
    OURS: ours,
    "gcvideo, packet index": partial(ours, is_indexed=True),
    "gcvideo, packet index, clip.align 8": partial(ours, is_indexed=True, align=8),
    "MMAction2's way (decord)": decord_clip,
    "pytorchvideo (decord)": partial(pytorchvideo_clip, decoder="decord"),
    "pytorchvideo (its default, pyav)": partial(pytorchvideo_clip, decoder="pyav"),
}
TESTING: dict[str, Callable[[Path], object]] = {
    OURS: ours_test,
    "gcvideo, packet index": partial(ours_test, is_indexed=True),
    "MMAction2's way (get_batch of 80)": decord_test,
    "one decode per view (decord)": decord_per_view,
    "PySlowFast's way (pyav)": pyav_per_view,
}


def encode(arguments: argparse.Namespace, folder: Path, kind: int, options: dict[str, str]) -> list[Path]:
    """Write 10 s at 340 x 256 and 30 frames per second."""
    files = []
    for number, pictures in enumerate(sources(arguments)):
        file = folder / f"{kind}-{number}.mp4"
        with av.open(str(file), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(30), options=options)
            stream.width, stream.height, stream.pix_fmt = 340, 256, "yuv420p"
            for picture in pictures:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        files.append(file)
    return files


def sources(arguments: argparse.Namespace) -> Iterator[Iterator[np.ndarray]]:
    """Yield the pictures of each clip: of the user's videos from their beginning, or noise that drifts."""
    if arguments.videos is None:
        for seed in range(arguments.num_videos):
            yield drifting_noise(seed)
        return
    paths = [path for path in sorted(arguments.videos.rglob("*.mp4")) if path.is_file()]
    random.Random(0).shuffle(paths)
    for path in paths[: arguments.num_videos]:
        yield pictures_of(path)


def pictures_of(path: Path) -> Iterator[np.ndarray]:
    """Yield the first 300 frames, from the start again where there are fewer."""
    shown = 0
    while shown < 30 * SECONDS:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield frame.reformat(width=340, height=256, format="rgb24").to_ndarray()
                shown += 1
                if shown == 30 * SECONDS:
                    return


def drifting_noise(seed: int) -> Iterator[np.ndarray]:
    """Yield smooth texture that moves and breathes, with grain; it codes to about 500 kbit/s."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 24, 32)).astype(np.float32))
    texture = F.resize(coarse, [512, 680], antialias=False)[0]
    for number in range(30 * SECONDS):
        top, left = (int(60 + 60 * np.sin(number / period)) for period in (37, 23))
        picture = texture[:, top : top + 256, left : left + 340].permute(1, 2, 0).numpy()
        yield np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def _parser() -> argparse.ArgumentParser:
    parser = benchmark_parser(__doc__, rounds=12)
    parser.add_argument("--videos", type=Path, help="folder of videos whose pictures are used")
    parser.add_argument("--num-videos", type=int, default=4, help="clips of each kind")
    add_save(parser)
    parser.add_argument("--only", choices=["training", "testing", "parts"], help="(default: all)")
    return parser


if __name__ == "__main__":
    main()
