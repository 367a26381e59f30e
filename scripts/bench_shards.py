"""Read training clips of the same videos from loose files and from shards, in turns."""

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that the script runs from anywhere

from data_prep import pack, transcode, verify
from gcvideo.data import ClipFrames, ScaleJitter, VideoDataModule
from gcvideo.data.packed_videos import PackedSet
from gcvideo.data.training_clips import TrainingDataset
from tests.shards.server import Server, serving


def main() -> None:
    arguments = _parser().parse_args()
    torch.set_num_threads(1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        files, shards = prepared(arguments.videos, folder)
        server = stack.enter_context(serving(shards))
        server.latency_seconds = arguments.latency_ms / 1000
        sets = {
            "loose files": VideoDataModule(files, **SETTINGS),
            "shards in a folder": packed(shards),
            f"shards over http, {arguments.latency_ms:g} ms": packed(shards, address=server.url),
            "the same, kept": packed(shards, address=server.url, cache=folder / "cache"),
        }
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in sets}
        for number in range(arguments.rounds + 1):
            for name, data in sets.items():
                seconds = spent(data.training_dataset(data.records("train")), epoch=number // 2)
                if number:  # the first fills caches
                    measured[name].append(seconds)
        say(measured, num_clips=len(sets["loose files"].records("train")), server=server)


SETTINGS = {"clip": ClipFrames(8, 8), "train_transform": ScaleJitter(), "num_workers": 0}


def packed(shards: Path, *, address: str | None = None, cache: Path | None = None) -> VideoDataModule:
    return VideoDataModule(shards, shards=PackedSet(address, cache=cache), **SETTINGS)


def prepared(videos: Path, folder: Path) -> tuple[Path, Path]:
    """The videos after transcode.py and verify.py, and in shards."""
    small, shards = folder / "small", folder / "shards"
    transcode.main(["--root", str(videos), "--output", str(small), "--workers", "2"])
    verify.main(["--root", str(small), "--output", str(small), "--workers", "2"])
    rows = (small / "videos.csv").read_text().splitlines()
    where = rows[0].split(",").index("label")
    labelled = [rows[0], *(_with_label(row, where) for row in rows[1:])]
    (small / "train.csv").write_text("\n".join(labelled) + "\n")
    pack.main(["--root", str(small), "--output", str(shards), "--lists", str(small / "train.csv")])
    return small, shards


def _with_label(row: str, where: int) -> str:
    cells = row.split(",")
    return ",".join([*cells[:where], "0", *cells[where + 1 :]])


def spent(dataset: TrainingDataset, *, epoch: int) -> tuple[float, float]:
    """Seconds of processor time in user and system, and on the clock, of this thread."""
    cpu, wall = time.thread_time(), time.perf_counter()
    for index in range(len(dataset)):
        dataset[epoch, index]
    return time.thread_time() - cpu, time.perf_counter() - wall


def say(measured: dict[str, list[tuple[float, float]]], *, num_clips: int, server: Server) -> None:
    first = next(iter(measured.values()))
    print(f"{num_clips} clips of 8x8; {len(first)} rounds in turns; medians, and ratios to loose files")
    print("| from | clips/s of processor time | ratio (lowest .. highest) | clips/s on the clock | ratio |")
    print("|---|---|---|---|---|")
    for name, rounds in measured.items():
        cells = []
        for kind in (0, 1):
            ratios = [
                mine[kind] and base[kind] / mine[kind] for base, mine in zip(first, rounds, strict=True)
            ]
            rate = num_clips / statistics.median(seconds[kind] for seconds in rounds)
            spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} .. {max(ratios):.3f})"
            cells += [f"{rate:.1f}", spread]
        print(f"| {name} | {' | '.join(cells)} |")
    print(
        f"{len(server.asked) / num_clips:.2f} requests of the server for each video of the set, in all rounds"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos, which are transcoded")
    parser.add_argument("--rounds", type=int, default=6, help="rounds (default: %(default)s)")
    parser.add_argument("--latency-ms", type=float, default=20.0, help="of the server (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
