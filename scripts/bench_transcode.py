"""What data_prep/transcode.py makes for training and in general, beside the originals and the ffmpeg command.

All in CPU time, in turns, so that other work on the machine does not count.

    python scripts/bench_transcode.py --videos FOLDER --short-side 256 --num-videos 12

Sections:
    kinds     both kinds: size; PSNR and SSIM (of FFmpeg) against the frames that
              were encoded, means over the frames; and beside the originals how fast clips and tests are read
    encoders  frames per second of what a worker of transcode.py does with a video (decode, scale, encode,
              check the result), and of `ffmpeg -threads 1 -vf scale -c:v libx264` in general settings; ffmpeg
              starts anew for each video, which short videos feel: it is also counted without
"""

import argparse
import math
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import av
from av.filter import Graph
from bench_reading import ours, ours_test
from benchmark import benchmark_parser, describe_machine, with_quartiles
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sections import parse_sections

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_prep.videos.encoding import upright_frames
from data_prep.videos.transcoding import Task, transcode_one
from data_prep.videos.whole_decode import examine
from data_prep.videos.x264 import DEFAULTS, EncodingSettings
from gcvideo.complexity.turns import times_faster
from gcvideo.data.decoding.index import index_stream
from gcvideo.data.decoding.reader import DecodeError
from gcvideo.data.loading.process import MEMORY_KEPT
from gcvideo.memory import keep_freed_memory
from gcvideo.video_files import video_names

console = Console(width=140)
READ: dict[str, Callable[[Path], object]] = {"clip 8x8": ours, "10 clips x 3 crops": ours_test}


class Quality(NamedTuple):
    """How near a video's frames are to those that were encoded."""

    psnr: float
    """In decibels."""
    ssim: float


def main() -> None:
    arguments = parse_sections(_parser(), SECTIONS)
    larger_than = max(arguments.short_side, arguments.larger_than)
    console.print(describe_machine())
    keep_freed_memory(at_most=MEMORY_KEPT)
    originals = _choose(arguments.videos, arguments.num_videos, larger_than=larger_than)
    for name in arguments.sections:
        with tempfile.TemporaryDirectory() as folder:
            SECTIONS[name](originals, arguments, Path(folder))


def _choose(folder: Path, num_videos: int, *, larger_than: int) -> list[Path]:
    """Return videos that have to be made smaller, the same ones each time."""
    paths = [folder / name for name in video_names(folder)]
    random.Random(0).shuffle(paths)
    chosen = []
    for path in paths:
        try:
            index = index_stream(path)
            is_large = min(index.context.width, index.context.height) > larger_than
            index.close()
            if is_large and [*examine(path)]:  # a damaged one raises
                chosen.append(path)
        except DecodeError:
            continue
        if len(chosen) == num_videos:
            break
    if not chosen:
        sys.exit(f"{folder} holds no video whose short side exceeds {larger_than}")
    return chosen


def _compare_kinds(originals: list[Path], arguments: argparse.Namespace, folder: Path) -> None:
    """Make both kinds of all videos, and print how large, how good and how fast to read they are."""
    files = {"originals": originals}
    qualities: dict[str, list[Quality]] = {"originals": []}
    for purpose, defaults in DEFAULTS.items():
        settings = defaults._replace(short_side=arguments.short_side, preset=arguments.preset)
        name = f"--for {purpose}, CRF {settings.crf}"
        files[name] = [folder / f"{purpose}-{n}.mp4" for n in range(len(originals))]
        qualities[name] = []
        for original, result in track(
            [*zip(originals, files[name], strict=True)], name, console=Console(stderr=True)
        ):
            _transcode(original, result, settings)
            qualities[name].append(_quality(original, result, short_side=arguments.short_side))

    # Each video is read from all files in turn
    seconds: dict[str, dict[str, list[float]]] = {way: {name: [] for name in files} for way in READ}
    for _ in track(range(arguments.rounds), "read", console=Console(stderr=True)):
        for of_one in zip(*files.values(), strict=True):
            for way, read in READ.items():
                for name, path in zip(files, of_one, strict=True):
                    seconds[way][name].append(_seconds(partial(read, path)))

    # A row for each
    columns = [f"ms, {way}" for way in READ]
    table = Table("", "MB", "PSNR, dB", "SSIM", *columns, title=f"{len(originals)} videos; times as fast")
    for name, paths in files.items():
        psnrs, ssims = zip(*qualities[name], strict=True) if qualities[name] else ((), ())
        quality = (f"{fmean(psnrs):.2f}", f"{fmean(ssims):.4f}") if psnrs else ("", "")
        cells = []
        for way in READ:
            ratio = times_faster(seconds[way]["originals"], seconds[way][name])
            cells.append(f"{1e3 * median(seconds[way][name]):.1f}  {with_quartiles(ratio)}")
        size = sum(path.stat().st_size for path in paths) / 1e6
        table.add_row(name, f"{size:.1f}", *quality, *cells)
    console.print(table)
    general, training = list(files)[2], list(files)[1]
    for way in READ:
        ratio = times_faster(seconds[way][general], seconds[way][training])
        console.print(f"{way}: {training} is read {with_quartiles(ratio)} times as fast as {general}")
    sizes = [
        a.stat().st_size / b.stat().st_size for a, b in zip(files[training], files[general], strict=True)
    ]
    console.print(
        f"size, {training} / {general}: mean {fmean(sizes):.2f} ({min(sizes):.2f} .. {max(sizes):.2f})"
    )


def _transcode(original: Path, result: Path, settings: EncodingSettings) -> int:
    """Write a video as transcode.py does, and return its number of frames."""
    [row] = transcode_one(Task(original.name, original, result, result.with_suffix(".partial"), settings))
    if row["status"] != "encoded":
        sys.exit(f"{original}: {row['status']} {row['reason']}")
    return int(row["num_frames"])


def _seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def _quality(original: Path, result: Path, *, short_side: int) -> Quality:
    """Compare every frame with the one that went into the encoder."""
    source = index_stream(original)
    errors, ssims = [], []
    with av.open(str(result)) as container:
        decoded = container.decode(video=0)
        graphs = {}
        for number, frame in enumerate(upright_frames(source, short_side=short_side)):
            pair = next(decoded), frame
            for name in ("psnr", "ssim"):
                if name not in graphs:
                    graphs[name] = _comparison(name, frame)
                _, inputs, sink = graphs[name]
                for given, into in zip(pair, inputs, strict=True):
                    given.pts, given.time_base = number, Fraction(1, 30)
                    into.push(given)
                said = sink.pull().metadata
                if name == "psnr":
                    errors.append(float(said["lavfi.psnr.mse_avg"]))
                else:
                    ssims.append(float(said["lavfi.ssim.All"]))
    source.close()
    return Quality(fmean(10 * math.log10(255**2 / max(error, 1e-3)) for error in errors), fmean(ssims))


def _comparison(name: str, like: av.VideoFrame) -> tuple[Graph, tuple[Any, Any], Any]:
    """Return a filter that compares frames, its two inputs and its end, which live as long as the filter."""
    graph = Graph()
    given = {"width": like.width, "height": like.height, "format": like.format, "time_base": Fraction(1, 30)}
    inputs = graph.add_buffer(**given), graph.add_buffer(**given)
    compare, sink = graph.add(name), graph.add("buffersink")
    for number, one in enumerate(inputs):
        one.link_to(compare, 0, number)
    compare.link_to(sink)
    graph.configure()
    return graph, inputs, sink


def _compare_encoders(originals: list[Path], arguments: argparse.Namespace, folder: Path) -> None:
    """Encode all videos with both, and print the table."""
    if shutil.which("ffmpeg") is None:
        console.print("ffmpeg is not there to compare with; on Debian: apt-get install ffmpeg")
        return
    settings = DEFAULTS["general"]._replace(short_side=arguments.short_side, preset=arguments.preset)
    results = [folder / f"{n}.mp4" for n in range(len(originals))]
    rates: dict[str, list[float]] = {"transcode.py": [], "ffmpeg": [], "ffmpeg, once started": []}
    starting = median(_cpu_seconds(["ffmpeg", "-v", "error", "-version"]) for _ in range(5))
    num_bytes: dict[str, int] = {}
    num_frames = 0

    # In every round each video is encoded by both, one after the other
    for _ in range(arguments.rounds):
        num_frames, mine, theirs = 0, 0.0, 0.0
        num_bytes = dict.fromkeys(rates, 0)
        for original, result in zip(originals, results, strict=True):
            start = time.process_time()
            frames = _transcode(original, result, settings)
            mine += time.process_time() - start
            num_frames += frames
            with av.open(str(result)) as container:
                size = container.streams.video[0].width, container.streams.video[0].height
            other = folder / "ffmpeg.mp4"
            theirs += _cpu_seconds(_ffmpeg(original, other, *size, settings))
            num_bytes["transcode.py"] += result.stat().st_size
            num_bytes["ffmpeg"] += other.stat().st_size
        num_bytes["ffmpeg, once started"] = num_bytes["ffmpeg"]
        rates["transcode.py"].append(num_frames / mine)
        rates["ffmpeg"].append(num_frames / theirs)
        rates["ffmpeg, once started"].append(num_frames / (theirs - starting * len(originals)))

    # Rates of both, and their ratios within a round
    table = Table(title=f"{len(originals)} videos, {num_frames:,} frames, {settings}", title_justify="left")
    for column in ("", "frames/s of one core", "lowest .. highest", "kB a frame"):
        table.add_column(column, justify="right")
    for name, of_rounds in rates.items():
        table.add_row(
            name,
            f"{median(of_rounds):.1f}",
            f"{min(of_rounds):.1f} .. {max(of_rounds):.1f}",
            f"{num_bytes[name] / num_frames / 1000:.2f}",
        )
    console.print(table)
    for name in ("ffmpeg", "ffmpeg, once started"):
        ratios = [a / b for a, b in zip(rates["transcode.py"], rates[name], strict=True)]
        console.print(f"transcode.py / {name}: {median(ratios):.3f} ({min(ratios):.3f} .. {max(ratios):.3f})")


def _ffmpeg(original: Path, target: Path, width: int, height: int, settings: EncodingSettings) -> list[str]:
    """Return the command that makes the same of a video, on one thread."""
    return [
        *("ffmpeg", "-nostdin", "-v", "error", "-y", "-threads", "1", "-i", str(original)),
        *("-an", "-sn", "-vf", f"scale={width}:{height}", "-filter_threads", "1"),
        *("-c:v", "libx264", "-threads", "1", "-preset", settings.preset, "-crf", str(settings.crf)),
        *("-g", str(settings.gop), "-keyint_min", str(settings.gop), "-sc_threshold", "0"),
        *("-flags", "+cgop", "-pix_fmt", "yuv420p", "-fps_mode", "passthrough"),
        *("-movflags", "+faststart", str(target)),
    ]


def _cpu_seconds(command: list[str]) -> float:
    """Run a command and return its CPU time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


SECTIONS = {"kinds": _compare_kinds, "encoders": _compare_encoders}


def _parser() -> argparse.ArgumentParser:
    parser = benchmark_parser(__doc__, rounds=3)
    parser.add_argument("--videos", type=Path, required=True, help="folder of originals")
    parser.add_argument("--num-videos", type=int, default=12, help="how many of them (default: 12)")
    parser.add_argument("--short-side", type=int, default=256, help="(default: 256)")
    parser.add_argument(
        "--larger-than", type=int, default=0, help="take videos whose short side exceeds this (default: 0)"
    )
    parser.add_argument("--preset", default="medium", help="(default: medium)")
    return parser


if __name__ == "__main__":
    main()
