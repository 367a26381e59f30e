"""Opening videos and reading clips by the packet index of data_prep/verify.py, beside demuxing them.

    python scripts/bench_index.py                          # everything, on clips that it encodes itself
    python scripts/bench_index.py clips --videos FOLDER    # on 10 s cut from your own videos

Processor time of one thread that keeps the memory it frees, as loader processes do; all ways take turns. With
a verified list, demuxing reads the whole file first, to compare its checksum; the index has one a packet.

Sections:
    clips     opening a video, and a training clip of 8 frames at stride 8, its crop included: as downloaded,
              and as data_prep/transcode.py writes it; and bytes of the index a video
    cold      the same clip from a disk that has none of the file in memory, by the clock
    lists     the index of 240,000 and 10,000,000 videos: its size, seconds to open, and to find a row
    cores     how many cores keep a device busy that trains the paper's networks at so many clips per second
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from statistics import median

import torch
from bench_reading import CLIP, encode
from benchmark import benchmark_parser, describe_machine, with_quartiles
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sections import parse_sections
from torch.utils.flop_counter import FlopCounterMode

from data_prep.videos.packet_rows import packet_row
from data_prep.videos.x264 import DEFAULTS, x264_options
from gcvideo.clip import Verified
from gcvideo.complexity.paper import PAPER_ROWS, paper_network
from gcvideo.complexity.turns import spread, times_faster
from gcvideo.data.dataset import decode_views
from gcvideo.data.decoding import open_video
from gcvideo.data.decoding.checksum import crc32_of
from gcvideo.data.decoding.packet_file import PACKET_INDEX, PacketFile, RowPlace, key_of, write_packet_file
from gcvideo.data.loading.process import MEMORY_KEPT
from gcvideo.data.sampling import RandomClip
from gcvideo.data.transforms import ScaleJitter
from gcvideo.memory import keep_freed_memory

console = Console(width=140)
KINDS = {
    "as downloaded": {"preset": "medium", "threads": "1", "crf": "23", "bf": "3", "g": "250"},
    "transcoded": x264_options(DEFAULTS["training"]),
}
LISTS = (240_000, 10_000_000)
WAYS = ("demuxed", "demuxed, of a verified list", "indexed, of a verified list")
DEMUXED, VERIFIED, INDEXED = WAYS

Files = dict[str, list[Path]]
Rows = dict[Path, bytes]


def main() -> None:
    """Print the table of every section that is asked for."""
    arguments = parse_sections(_parser(), SECTIONS)
    torch.set_num_threads(1)
    keep_freed_memory(at_most=MEMORY_KEPT)
    console.print(describe_machine())
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        files = {
            kind: encode(arguments, Path(folder), number, options)
            for number, (kind, options) in enumerate(
                track(KINDS.items(), "encode", console=Console(stderr=True))
            )
        }
        rows = {path: packet_row(path, crc32=crc32_of(path)) for paths in files.values() for path in paths}
        for name in arguments.sections:
            console.print(SECTIONS[name](arguments, files, rows))


@cache
def verified(path: Path) -> Verified:
    return Verified(300, 30.0, 340, 256, plain=True, crc32=crc32_of(path))


def opened(path: Path, rows: Rows, way: str):
    return open_video(
        path,
        verified=None if way == DEMUXED else verified(path),
        packets=rows[path] if way == INDEXED else None,
    )


def open_only(path: Path, rows: Rows, way: str) -> None:
    opened(path, rows, way).close()


def clip(path: Path, rows: Rows, way: str) -> None:
    with opened(path, rows, way) as reader:
        decode_views(reader, RandomClip(CLIP)(len(reader)), ScaleJitter().transform)


def clips(arguments: argparse.Namespace, files: Files, rows: Rows) -> Table:
    table = Table(
        "videos", "way", "ms to open", "times as fast", "ms a clip", "times as fast", "index, bytes a video"
    )
    for kind, paths in files.items():
        found = {
            what: cpu_ms({way: partial(over, call, paths, rows, way) for way in WAYS}, arguments.rounds)
            for what, call in {"open": open_only, "clip": clip}.items()
        }
        for way in WAYS:
            cells = []
            for of_ways in found.values():
                ms = [each / len(paths) for each in of_ways[way]]
                cells += [f"{median(ms):.2f}", with_quartiles(times_faster(of_ways[VERIFIED], of_ways[way]))]
            size = f"{sum(len(rows[path]) for path in paths) / len(paths):,.0f}" if way == INDEXED else ""
            table.add_row(kind, way, *cells, size)
    return table


def over(call: Callable[[Path, Rows, str], None], paths: list[Path], rows: Rows, way: str) -> None:
    for path in paths:
        call(path, rows, way)


def cpu_ms(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of this process that each way takes, in turns."""
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for call in ways.values():
        call()
    for number in range(rounds):
        for way in list(ways)[:: 1 if number % 2 == 0 else -1]:
            torch.manual_seed(number)  # the same clips in every way
            began = time.process_time()
            ways[way]()
            taken[way].append(1e3 * (time.process_time() - began))
    return taken


def cold(arguments: argparse.Namespace, files: Files, rows: Rows) -> Table:
    table = Table("videos", "way", "ms a clip by the clock", "times as fast", title="of a cold cache")
    for kind, paths in files.items():
        taken: dict[str, list[float]] = {way: [] for way in WAYS}
        for number in range(arguments.rounds):
            for way in WAYS:
                for path in paths:
                    forget(path)
                torch.manual_seed(number)
                began = time.perf_counter()
                over(clip, paths, rows, way)
                taken[way].append(1e3 * (time.perf_counter() - began) / len(paths))
        for way in WAYS:
            ratio = with_quartiles(times_faster(taken[VERIFIED], taken[way]))
            table.add_row(kind, way, f"{median(taken[way]):.2f}", ratio)
    return table


def forget(path: Path) -> None:
    """Have the system drop what it holds of a file."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def lists(arguments: argparse.Namespace, files: Files, rows: Rows) -> Table:
    table = Table("videos", "GB", "ms to open", "us to find a row", "MB of a process that has found 10,000")
    path = files["transcoded"][0]
    for num_videos in LISTS[:1] if arguments.short else LISTS:
        with index_of(path.parent, rows[path], num_videos) as file:
            before, began = resident_bytes(), time.perf_counter()
            packets = PacketFile(file)
            opening = time.perf_counter() - began
            names = [f"{number}.mp4" for number in range(0, num_videos, num_videos // 10_000)]
            began = time.process_time()
            for name in names:
                packets.row(name)
            finding = (time.process_time() - began) / len(names)
            held = resident_bytes() - before
            size = file.stat().st_size / 1e9
        cells = (f"{size:.2f}", f"{1e3 * opening:.2f}", f"{1e6 * finding:.0f}", f"{held / 1e6:.0f}")
        table.add_row(f"{num_videos:,}", *cells)
    return table


@contextmanager
def index_of(folder: Path, row: bytes, num_videos: int) -> Iterator[Path]:
    (folder / "row").write_bytes(row)
    place = RowPlace(folder / "row", 0, len(row))
    keys = track(range(num_videos), "index", console=Console(stderr=True))
    write_packet_file(folder / PACKET_INDEX, {int(key_of(f"{number}.mp4")): place for number in keys})
    yield folder / PACKET_INDEX
    (folder / PACKET_INDEX).unlink()


def resident_bytes() -> int:
    """Return the memory of this process that is its own, without files that it maps."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def cores(arguments: argparse.Namespace, files: Files, rows: Rows) -> Table:
    rates = {}
    for kind, paths in files.items():
        calls = {way: partial(over, clip, paths, rows, way) for way in (VERIFIED, INDEXED)}
        for way, ms in cpu_ms(calls, arguments.rounds).items():
            rates[f"{kind}, {way.split(',')[0]}"] = 1e3 * len(paths) / spread(ms).median
    table = Table(
        "network", "clips/s of the device", *(f"{name} ({rate:.0f} clips/s)" for name, rate in rates.items()),
        title="cores of the loader that keep a device busy", title_justify="left",
    )  # fmt: skip
    macs = {name: multiply_adds(name) for name in PAPER_ROWS}
    for name, count in macs.items():
        asked = arguments.device_clips_per_second * macs["slow_r50"] / count
        table.add_row(name, f"{asked:.0f}", *(f"{asked / rate:.1f}" for rate in rates.values()))
    return table


def multiply_adds(name: str) -> int:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        paper_network(name)(400).eval()(torch.zeros(1, 3, 8, 224, 224))
    return counter.get_total_flops() // 2


SECTIONS: dict[str, Callable[[argparse.Namespace, Files, Rows], Table]] = {
    "clips": clips,
    "cold": cold,
    "lists": lists,
    "cores": cores,
}


def _parser() -> argparse.ArgumentParser:
    parser = benchmark_parser(__doc__, rounds=12)
    parser.add_argument("--videos", type=Path, help="folder of videos whose pictures are used")
    parser.add_argument("--num-videos", type=int, default=4, help="clips of each kind (default: 4)")
    parser.add_argument("--folder", type=Path, help="where to write files for a while")
    parser.add_argument("--short", action="store_true", help="of the long lists only that of 240,000 videos")
    parser.add_argument(
        "--device-clips-per-second",
        type=float,
        default=380.0,
        help="clips of 8 x 224 x 224 on which the device trains Slow-only R50 in a second; the others by "
        "their multiply-adds (default: 380, an A100 at 40%% of its 312 TFLOP/s in bfloat16)",
    )
    return parser


if __name__ == "__main__":
    main()
