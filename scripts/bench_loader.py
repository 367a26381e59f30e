"""The loader from its start: commands, long lists, loader processes, memory over many videos.

    python scripts/bench_loader.py                        # everything, on clips that it encodes itself
    python scripts/bench_loader.py lists workers --num-workers 0 1 2 4 8 --videos FOLDER

Sections:
    start     seconds until a command's --help has been printed, and what of it is Python's imports
    lists     made-up lists of 240,000 and 10,000,000 rows: seconds from the list to the first batch after
              imports, and the memory that belongs to each loader process alone
    workers   clips per second for each number of loader processes
    growth    memory of a loader process while it reads 2,000 videos
    views     test videos (10 clips x 3 crops) per second of a loader process that keeps the memory it frees
              (gcvideo/memory.py), and of one that does not; the two take turns
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context, set_start_method
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench_reading import KINDS, encode
from benchmark import benchmark_parser, describe_machine, with_quartiles
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sections import parse_sections

from gcvideo.complexity.turns import in_turns, spread, times_faster
from gcvideo.data import VideoDataModule
from gcvideo.data.loader import VideoLoader

console = Console(width=140)
LISTS = {240_000: (240, 125), 10_000_000: (1_000, 1_250)}
"""Rows: folders times folders; each holds VIDEOS_OF_A_FOLDER."""
VIDEOS_OF_A_FOLDER = 8
BATCH_SIZE = 8
BATCHES_OF_A_TURN = 25
COMMANDS = ("--help", "fit --help", "predict --help", "complexity --help")


class FirstBatch(NamedTuple):
    """What a list costs."""

    list_seconds: float
    first_batch_seconds: float
    list_bytes: int
    """Of the process that has read the list."""
    worker_bytes: int
    """Of a loader process, and of no other, after some batches."""


def main() -> None:
    """Print the table of every section that is asked for."""
    arguments = parse_sections(_parser(), SECTIONS)
    console.print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        videos = [] if arguments.sections == ["start"] else make_videos(arguments, Path(folder))
        for name in arguments.sections:
            console.print(SECTIONS[name](arguments, Path(folder), videos))


def make_videos(arguments: argparse.Namespace, folder: Path) -> list[Path]:
    """Make clips of 10 s at 340 x 256, with B-frames and a GOP of 16, as data_prep/transcode.py does."""
    (options,) = (options for kind, options in KINDS.items() if "transcode" in kind)
    arguments.num_videos = VIDEOS_OF_A_FOLDER
    return encode(arguments, folder, 0, options)


def start(arguments: argparse.Namespace, folder: Path, videos: list[Path]) -> Table:
    """Time commands until their --help has been printed."""
    table = Table("command", "seconds", "least", title="until --help is printed", title_justify="left")
    lines = {
        "python -c 'import torch'": [sys.executable, "-c", "import torch"],
        "python -c 'import torch, lightning.pytorch'": [
            sys.executable, "-c", "import torch, lightning.pytorch",
        ],
        **{f"gcvideo {command}": ["gcvideo", *command.split()] for command in COMMANDS},
    }  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in lines}
    for _ in track(range(arguments.rounds), "start", console=Console(stderr=True)):
        for name, line in lines.items():
            began = time.perf_counter()
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - began)
    for name, taken in seconds.items():
        table.add_row(name, f"{median(taken):.2f}", f"{min(taken):.2f}")
    return table


def lists(arguments: argparse.Namespace, folder: Path, videos: list[Path]) -> Table:
    """Time long lists to their first batch, and weigh them."""
    table = Table(
        "rows", "list, s", "first batch (list included), s", "list, MB", "each loader process, MB",
        title=f"two loader processes, batches of {BATCH_SIZE}", title_justify="left",
    )  # fmt: skip
    for rows, (outer, inner) in LISTS.items():
        root = folder / str(rows)
        write_list(root, videos, outer, inner)
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:  # it has had no other list
            found = fresh.submit(first_batch, root).result()
        table.add_row(
            f"{rows:,}",
            f"{found.list_seconds:.2f}",
            f"{found.first_batch_seconds:.2f}",
            f"{found.list_bytes / 1e6:.0f}",
            f"{found.worker_bytes / 1e6:.0f}",
        )
    return table


def write_list(root: Path, videos: list[Path], outer: int, inner: int) -> None:
    """Write a list whose every row is a file that is there, by links to folders of links to one folder."""
    shared = root / "shared"
    shared.mkdir(parents=True)
    (root / "videos").mkdir()
    for number in range(inner):
        (shared / f"{number:04d}").symlink_to(videos[0].parent, target_is_directory=True)
    with (root / "train.csv").open("w") as file:
        file.write("path,label\n")
        for one in track(
            range(outer), f"list of {outer * inner * len(videos):,}", console=Console(stderr=True)
        ):
            (root / "videos" / f"{one:04d}").symlink_to(shared, target_is_directory=True)
            file.writelines(
                f"videos/{one:04d}/{two:04d}/{video.name},{(one + two) % 400}\n"
                for two in range(inner)
                for video in videos
            )


def first_batch(root: Path) -> FirstBatch:
    set_start_method(None, force=True)  # for loader processes, as in a process from a shell
    before = private_bytes("self")
    began = time.perf_counter()
    loader = loader_of(root, num_workers=2)
    list_seconds = time.perf_counter() - began
    list_bytes = private_bytes("self") - before
    batches = iter(loader)
    next(batches)
    first_batch_seconds = time.perf_counter() - began
    for _ in islice(batches, 10):
        pass
    worker_bytes = max(map(private_bytes, workers_of(loader)))
    close(loader)
    return FirstBatch(list_seconds, first_batch_seconds, list_bytes, worker_bytes)


def workers(arguments: argparse.Namespace, folder: Path, videos: list[Path]) -> Table:
    """Count clips per second with each number of loader processes, in turns."""
    table = Table(
        "loader processes", "clips/s", "clips/s of one process", "quartiles of clips/s",
        title="training clips of 8 frames at stride 8, cropped to 224, uint8", title_justify="left",
    )  # fmt: skip
    root = small_set(folder / "workers", videos, repeats=100)

    # A loader of each number in every round, timed once all its processes are busy
    rates: dict[int, list[float]] = {number: [] for number in arguments.num_workers}
    for _ in track(range(arguments.rounds), "workers", console=Console(stderr=True)):
        for number, found in rates.items():
            loader = loader_of(root, num_workers=number)
            batches = endless(loader)
            for _ in range(3 * max(number, 1)):
                next(batches)
            began = time.perf_counter()
            for _ in range(BATCHES_OF_A_TURN):
                next(batches)
            found.append(BATCHES_OF_A_TURN * BATCH_SIZE / (time.perf_counter() - began))
            close(loader)

    # A row for each number
    for number, found in rates.items():
        rate = spread(found)
        table.add_row(
            str(number),
            f"{rate.median:.1f}",
            f"{rate.median / max(number, 1):.1f}",
            f"{rate.lower:.1f} - {rate.upper:.1f}",
        )
    return table


def growth(arguments: argparse.Namespace, folder: Path, videos: list[Path]) -> Table:
    """Weigh a loader process while it reads many videos."""
    table = Table("videos read", "MB of the loader process", title="memory over videos", title_justify="left")
    root = small_set(folder / "growth", videos, repeats=arguments.growth_videos // len(videos) + 1)
    loader = loader_of(root, num_workers=1)
    marks = [arguments.growth_videos * part // 8 for part in range(1, 9)]
    total = marks[-1] // BATCH_SIZE
    for number, _ in enumerate(
        track(islice(endless(loader), total), "growth", total=total, console=Console(stderr=True)), start=1
    ):
        if marks and number * BATCH_SIZE >= marks[0]:
            (process,) = workers_of(loader)
            table.add_row(f"{marks.pop(0):,}", f"{resident_bytes(process) / 1e6:.1f}")
    close(loader)
    return table


def views(arguments: argparse.Namespace, folder: Path, videos: list[Path]) -> Table:
    """Time test videos where a loader process keeps the memory it frees, and where it does not."""
    table = Table(
        "freed memory is", "videos/s", "times as fast", "MB of the loader process",
        title="test videos of 10 clips x 3 crops, cropped to 256, uint8", title_justify="left",
    )  # fmt: skip
    root = small_set(folder / "views", videos, repeats=4)
    (root / "train.csv").rename(root / "test.csv")

    # Two loader processes, which live through all rounds
    loaders: dict[str, VideoLoader] = {}
    for name, is_kept in {"returned": "0", "kept": "1"}.items():
        os.environ["GCVIDEO_KEEP_MEMORY"] = is_kept  # for the process that starts with the first batch
        data = VideoDataModule(root, num_workers=1, test_batch_size=1, num_classes=400)
        loaders[name] = data.test_dataloader()
        next(iter(loaders[name]))

    # Each reads the whole list in its turn
    seconds = in_turns(
        {name: partial(read_all, loader) for name, loader in loaders.items()}, rounds=arguments.rounds
    )
    for name, loader in loaders.items():
        rate = len(loader) / median(seconds[name])
        ratio = times_faster(seconds["returned"], seconds[name])
        (process,) = workers_of(loader)
        table.add_row(
            name,
            f"{rate:.1f}",
            with_quartiles(ratio),
            f"{resident_bytes(process) / 1e6:.0f}",
        )
        close(loader)
    return table


def read_all(loader: VideoLoader) -> None:
    for _ in loader:
        pass


def small_set(root: Path, videos: list[Path], *, repeats: int) -> Path:
    write_list(root, videos, 1, repeats)
    return root


def loader_of(root: Path, *, num_workers: int) -> VideoLoader:
    data = VideoDataModule(root, num_workers=num_workers, batch_size=BATCH_SIZE, num_classes=400)
    return data.train_dataloader()


def endless(loader: VideoLoader) -> Iterator[object]:
    """Yield the batches of one epoch after another."""
    while True:
        yield from loader
        loader.sampler.set_epoch(loader.sampler.epoch + 1)


def workers_of(loader: VideoLoader) -> list[int]:
    assert loader._pool is not None
    return [worker.process.pid for worker in loader._pool.processes]


def close(loader: VideoLoader) -> None:
    if loader._pool is not None:
        loader._pool.close()


def private_bytes(process: int | str) -> int:
    """Return the memory of a process that it shares with no other."""
    return _bytes_of("Private", process)


def resident_bytes(process: int) -> int:
    return _bytes_of("Rss", process)


def _bytes_of(kind: str, process: int | str) -> int:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(kind))


SECTIONS: dict[str, Callable[[argparse.Namespace, Path, list[Path]], Table]] = {
    "start": start,
    "lists": lists,
    "workers": workers,
    "growth": growth,
    "views": views,
}


def _parser() -> argparse.ArgumentParser:
    parser = benchmark_parser(__doc__, rounds=5)
    parser.add_argument("--videos", type=Path, help="folder of videos whose pictures are used")
    parser.add_argument("--num-workers", type=int, nargs="+", default=[0, 1, 2], help="(default: 0 1 2)")
    parser.add_argument("--growth-videos", type=int, default=2000, help="(default: 2000)")
    return parser


if __name__ == "__main__":
    main()
