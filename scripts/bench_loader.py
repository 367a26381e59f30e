"""The loader from its start: commands, long lists, loader processes, memory over many videos.

    python scripts/bench_loader.py                        # everything, on clips that it encodes itself
    python scripts/bench_loader.py lists workers --num-workers 0 1 2 4 8 --videos FOLDER

Sections:
    start     seconds until a command's --help has been printed, and what of it is Python's imports
    lists     made-up lists of 240,000 and 10,000,000 rows: seconds from the list to the first batch after
              imports, and the memory that belongs to each loader process alone
    workers   clips per second for each number of loader processes
    growth    memory of a loader process while it reads 2,000 videos, as data_prep/transcode.py leaves them
              and of 1920 x 1080 as downloaded, above that of one that has read eight videos of 64 x 64
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

import av
from bench_reading import DOWNLOADED, KINDS, TRAINING_FILES, drifting_noise, encode
from benchmark import add_save, benchmark_parser, describe_machine, save, with_quartiles
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sections import parse_sections

from gcvideo.complexity.turns import in_turns, spread, times_faster
from gcvideo.data import VideoDataModule
from gcvideo.data.loading.loader import VideoLoader

console = Console(width=140)
LISTS = {240_000: (240, 125), 10_000_000: (1_000, 1_250)}
"""Rows: folders times folders; each holds VIDEOS_OF_A_FOLDER."""
VIDEOS_OF_A_FOLDER = 8
BATCH_SIZE = 8
BATCHES_OF_A_TURN = 25
COMMANDS = ("--help", "fit --help", "fit --help all", "predict --help", "synthetic --help")


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
    """Make clips of 10 s at 340 x 256, as data_prep/transcode.py does."""
    arguments.num_videos = VIDEOS_OF_A_FOLDER
    return encode(arguments, folder, 0, KINDS[TRAINING_FILES])


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
    save(arguments.save, "loader, clips/s", {f"{n} processes": spread(of) for n, of in rates.items()})
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
    sources = {
        "64 x 64": sized_videos(folder / "tiny", 64, 64),
        "340 x 256": videos,
        "1920 x 1080": sized_videos(folder / "large", 1920, 1080),
    }
    numbers = {name: BATCH_SIZE if name == "64 x 64" else arguments.growth_videos for name in sources}
    weights = {name: list(weigh(folder / name, sources[name], numbers[name])) for name in sources}
    (_, baseline), *_ = weights.pop("64 x 64")
    table = Table(
        "videos read",
        *weights,
        title=f"MB of a loader process above the {baseline / 1e6:.0f} it has at first",
    )
    for rows in zip(*weights.values(), strict=True):
        table.add_row(f"{rows[0][0]:,}", *(f"{(num_bytes - baseline) / 1e6:.0f}" for _, num_bytes in rows))
    return table


def weigh(root: Path, videos: list[Path], num_videos: int) -> Iterator[tuple[int, int]]:
    """Yield how many videos a loader process has read, and its most memory since it was last weighed."""
    small_set(root, videos, repeats=num_videos // len(videos) + 1)
    loader = loader_of(root, num_workers=1)
    total = num_videos // BATCH_SIZE
    marks, most = {total * part // 8 for part in range(1, 9)}, 0
    batches = track(islice(endless(loader), total), root.name, total=total, console=Console(stderr=True))
    for number, _ in enumerate(batches, start=1):
        (process,) = workers_of(loader)
        most = max(most, resident_bytes(process))
        if number in marks:
            yield number * BATCH_SIZE, most
            most = 0
    close(loader)


def sized_videos(folder: Path, width: int, height: int) -> list[Path]:
    """Make two videos of 3 s as they are downloaded, of noise that drifts."""
    folder.mkdir()
    files = [folder / f"{number}.mp4" for number in range(2)]
    for seed, file in enumerate(files):
        with av.open(str(file), "w") as container:
            stream = container.add_stream(
                "libx264", rate=30, options=KINDS[DOWNLOADED] | {"preset": "veryfast"}
            )
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for picture in islice(drifting_noise(seed), 90):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame.reformat(width=width, height=height, format="yuv420p")))
            container.mux(stream.encode())
    return files


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
        loader._pool._pool.close()


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
    add_save(parser)
    parser.add_argument("--growth-videos", type=int, default=2000, help="(default: 2000)")
    return parser


if __name__ == "__main__":
    main()
