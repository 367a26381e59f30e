"""data_prep/transcode.py beside the ffmpeg command, and what training gains from the result.

1. Frames per second of one core: what a worker of transcode.py does with a video (decode, scale,
   encode, check the result), and `ffmpeg -threads 1 -vf scale -c:v libx264` with the same settings,
   in turns, each in the CPU time of its own process, so that other work on the machine does not
   count. ffmpeg starts anew for each video, which short videos feel: it is also counted without.
2. Clips per second of one core that training reads from the originals and from the result, each
   with the decoder that verify.py chooses for it.

    python scripts/bench_transcode.py --videos FOLDER --short-side 256 --num-videos 12
"""

import argparse
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmark import benchmark_parser
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_prep.videos.transcoding import Task, transcode_one
from data_prep.videos.whole_decode import examine
from data_prep.videos.x264 import EncodingSettings
from gcvideo.clip import Verified
from gcvideo.data.decoding import open_video
from gcvideo.data.decoding.index import index_stream
from gcvideo.data.decoding.reader import DecodeError
from gcvideo.video_files import video_names

console = Console()


def main() -> None:
    arguments = _parser().parse_args()
    if shutil.which("ffmpeg") is None:
        sys.exit("ffmpeg is not there to compare with; on Debian: apt-get install ffmpeg")
    settings = EncodingSettings(arguments.short_side, arguments.gop, arguments.crf, arguments.preset)
    larger_than = max(arguments.short_side, arguments.larger_than)
    originals = _choose(arguments.videos, arguments.num_videos, larger_than=larger_than)
    with tempfile.TemporaryDirectory() as folder:
        results = _compare_encoders(originals, settings, Path(folder), rounds=arguments.rounds)
        _compare_reading(originals, results, num_frames=8, stride=8, rounds=arguments.rounds)


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
            if is_large and _verified(path):  # a damaged one raises
                chosen.append(path)
        except DecodeError:
            continue
        if len(chosen) == num_videos:
            break
    if not chosen:
        sys.exit(f"{folder} holds no video whose short side exceeds {larger_than}")
    return chosen


def _compare_encoders(
    originals: list[Path], settings: EncodingSettings, folder: Path, *, rounds: int
) -> list[Path]:
    """Encode all videos with both, print the table, and return what transcode.py made."""
    results = [folder / f"{n}.mp4" for n in range(len(originals))]
    rates: dict[str, list[float]] = {"transcode.py": [], "ffmpeg": [], "ffmpeg, once started": []}
    starting = median(_cpu_seconds(["ffmpeg", "-v", "error", "-version"]) for _ in range(5))
    num_bytes: dict[str, int] = {}

    # In every round each video is encoded by both, one after the other
    for _ in range(rounds):
        num_frames, ours, theirs = 0, 0.0, 0.0
        num_bytes = dict.fromkeys(rates, 0)
        for original, result in zip(originals, results, strict=True):
            task = Task(original.name, original, result, result.with_suffix(".partial"), settings)
            start = time.process_time()
            [row] = transcode_one(task)
            ours += time.process_time() - start
            if row["status"] != "encoded":
                sys.exit(f"{original}: {row['status']} {row['reason']}")
            num_frames += row["num_frames"]
            other = folder / "ffmpeg.mp4"
            theirs += _cpu_seconds(_ffmpeg(original, other, row["width"], row["height"], settings))
            num_bytes["transcode.py"] += result.stat().st_size
            num_bytes["ffmpeg"] += other.stat().st_size
        num_bytes["ffmpeg, once started"] = num_bytes["ffmpeg"]
        rates["transcode.py"].append(num_frames / ours)
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
    return results


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


def _compare_reading(
    originals: list[Path], results: list[Path], *, num_frames: int, stride: int, rounds: int
) -> None:
    """Read one random clip of each video, as training does with the lists of verify.py."""
    table = Table(title=f"one clip of {num_frames} frames, {stride} apart", title_justify="left")
    for column in ("", "clips/s of one core", "MB on the disk"):
        table.add_column(column, justify="right")
    rates = {}
    for name, paths in (("originals", originals), ("result", results)):
        videos = [(path, _verified(path)) for path in paths]
        draw = random.Random(0)
        start, num_clips = time.process_time(), 0
        for _ in range(rounds * 4):
            for path, verified in videos:
                with open_video(path, verified=verified) as reader:
                    first = draw.randrange(max(1, len(reader) - (num_frames - 1) * stride))
                    last = len(reader) - 1
                    reader.frames_at([min(last, first + n * stride) for n in range(num_frames)])
                num_clips += 1
        rates[name] = num_clips / (time.process_time() - start)
        num_bytes = sum(path.stat().st_size for path in paths)
        table.add_row(name, f"{rates[name]:.1f}", f"{num_bytes / 1e6:.1f}")
    console.print(table)
    console.print(f"training reads the result {rates['result'] / rates['originals']:.2f} times as fast")


def _verified(path: Path) -> Verified:
    """Return what verify.py says of a video, which decides which decoder training reads it with."""
    *_, findings = examine(path)
    size = (findings.width, findings.height)
    return Verified(findings.num_frames, findings.fps, *size, plain=not findings.not_plain)


def _parser() -> argparse.ArgumentParser:
    parser = benchmark_parser(__doc__, rounds=3)
    defaults = EncodingSettings()
    parser.add_argument("--videos", type=Path, required=True, help="folder of originals")
    parser.add_argument("--num-videos", type=int, default=12, help="how many of them (default: 12)")
    parser.add_argument("--short-side", type=int, default=defaults.short_side, help="(default: 256)")
    parser.add_argument(
        "--larger-than", type=int, default=0, help="take videos whose short side exceeds this (default: 0)"
    )
    parser.add_argument("--gop", type=int, default=defaults.gop, help="(default: 16)")
    parser.add_argument("--crf", type=int, default=defaults.crf, help="(default: 23)")
    parser.add_argument("--preset", default=defaults.preset, help="(default: medium)")
    return parser


if __name__ == "__main__":
    main()
