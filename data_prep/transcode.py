"""Write videos again: short side 256, H.264 from which clips are read fast, without sound."""

import argparse
import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that the script runs from anywhere

from data_prep.lists.video_lists import CLASSES, copy_classes, paths_of, read_lists, write_list
from data_prep.running.console import program, run_step, say, show_first
from data_prep.running.journal import Journal
from data_prep.running.shards import add_run_options, allowed_processors, shard_of
from data_prep.videos.transcoding import COLUMNS, REPORT, Task, transcode
from data_prep.videos.x264 import DEFAULTS, LONGEST_STRIDE, PRESETS, EncodingSettings, gop_for
from gcvideo.atomic import replacing, write_table
from gcvideo.paths import user_path

LISTS = "lists"
"""Where the lists with the new paths are written to, under the output."""


def main(argv: Sequence[str] | None = None) -> int:
    """Transcode, and return 0: a video that fails is a row of the report, no failure of the step."""
    arguments = _parser().parse_args(argv)
    shard = shard_of(arguments)
    settings = _settings(arguments)
    root, output = arguments.root, arguments.output
    # Nothing may be read that is being written
    if root.resolve() == output.resolve():
        raise ValueError(f"--output {output} is --root; the originals are kept, name another folder")
    if not arguments.lists and output.resolve().is_relative_to(root.resolve()):
        raise ValueError(
            f"--output {output} lies under --root, all of which would be transcoded, the output too in "
            "the next run; name a folder elsewhere, or --lists"
        )
    # A task for each video
    lists = read_lists(arguments.lists, root=root, num_workers=arguments.workers)
    targets = target_paths(paths_of(lists))
    partials = output / f".partial{shard.suffix}"
    tasks = [
        Task(path, root / path, output / target, partials / f"{os.getpid()}-{n}.mp4", settings)
        for n, (path, target) in enumerate(targets.items())
    ]
    mine = shard.share(tasks)
    if arguments.dry_run:
        there = sum(task.target.exists() for task in mine)
        say(f"would look at {len(mine):,} videos; {there:,} have an output; nothing was written")
        return 0
    # Transcode what is not done
    with Journal(output, step="transcode", shard=shard) as journal:
        shutil.rmtree(partials, ignore_errors=True)  # what a killed run left
        if arguments.lists:  # every shard writes them alike, so that each can go on to verify.py
            for one in lists:
                with replacing(output / LISTS / one.name, partial=partials / one.name) as partial:
                    # Every frame and its time are kept, and so are segments in whatever they are written.
                    videos = [video._replace(path=targets[video.path]) for video in one.videos]
                    write_list(partial, videos, bounds=one.bounds)
            copy_classes(arguments.lists, output / LISTS, partial=partials / CLASSES)
        rows = transcode(
            mine,
            journal=journal,
            num_workers=arguments.workers,
            time_limit_seconds=arguments.time_limit_seconds,
            retry_failed=arguments.retry_failed,
        )
        shutil.rmtree(partials, ignore_errors=True)
    # Say what came of it
    report = output / f"{REPORT}{shard.suffix}.csv"
    write_table(
        report, COLUMNS, [[task.path, targets[task.path], *rows[task.path].values()] for task in mine]
    )
    _summarise(rows, report)
    return 0


def target_paths(paths: Sequence[str]) -> dict[str, str]:
    """Return path of each original -> path of what is made of it: the same, ending in .mp4.

    Where two would become one, as a.avi and a.mp4, the former becomes a.avi.mp4.

    Raises:
        ValueError: They would become one even so, or lie elsewhere than under the output.
    """
    for path in paths:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError(
                f"{path}: what is made of it would not lie under --output; expected a path relative to "
                "--root, without .."
            )
    wanted = {path: str(PurePosixPath(path).with_suffix(".mp4")) for path in paths}
    shared = Counter(wanted.values())
    targets = {
        path: target if shared[target] == 1 or path == target else f"{path}.mp4"
        for path, target in wanted.items()
    }
    target, count = max(Counter(targets.values()).items(), key=lambda pair: pair[1], default=("", 0))
    if count > 1:
        raise ValueError(f"{count} videos would become {target}; rename all but one of them")
    return targets


def _settings(arguments: argparse.Namespace) -> EncodingSettings:
    """Return the settings asked for, the rest as the purpose has them.

    Raises:
        ValueError: They are not possible.
    """
    settings = DEFAULTS[arguments.purpose]._replace(short_side=arguments.short_side, preset=arguments.preset)
    if arguments.stride is not None:
        if settings.stride is None:
            raise ValueError(f"--stride {arguments.stride} goes with --for training; leave it out")
        if not 1 <= arguments.stride <= LONGEST_STRIDE:
            raise ValueError(
                f"--stride {arguments.stride} is out of range; expected 1..{LONGEST_STRIDE}, as one that "
                "divides it"
            )
        settings = settings._replace(stride=arguments.stride, gop=gop_for(arguments.stride))
    if arguments.gop is not None:
        settings = settings._replace(gop=arguments.gop)
    if arguments.crf is not None:
        settings = settings._replace(crf=arguments.crf)
    _check(settings)
    return settings


def _check(settings: EncodingSettings) -> None:
    if settings.short_side < 2 or settings.short_side % 2:
        raise ValueError(
            f"--short-side {settings.short_side} is not possible; expected an even number from 2 on"
        )
    if settings.gop < 1:
        raise ValueError(f"--gop {settings.gop} is out of range; expected at least 1")
    if settings.stride is not None and settings.gop % settings.stride:
        raise ValueError(
            f"--gop {settings.gop} is no multiple of {settings.stride}, the stride of clips (--stride); "
            f"expected {settings.stride * -(-settings.gop // settings.stride)}, or --for general"
        )
    if not 0 <= settings.crf <= 51:
        raise ValueError(f"--crf {settings.crf} is out of range; expected 0..51")


def _summarise(rows: Mapping[str, dict[str, Any]], report: Path) -> None:
    failed = [(path, row["reason"]) for path, row in rows.items() if row["status"] == "failed"]
    if failed:
        show_first("failed", ("path", "reason"), failed, whole=report)
    counts = Counter(row["status"] for row in rows.values())
    say(
        f"{counts['encoded']:,} encoded, {counts['kept']:,} right as they were, "
        f"{counts['failed']:,} failed; report: {report}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("transcode"),
        description=__doc__,
        epilog="Time stamps are kept, rotation is applied, nothing is enlarged. A video that has "
        "all this already is linked, not written again. A broken one is a row of the report. The "
        "lists are written to lists/ in the output, with the new paths.",
    )
    parser.add_argument("--root", type=user_path, required=True, help="folder of the originals")
    parser.add_argument("--output", type=user_path, required=True, help="folder to write to")
    parser.add_argument(
        "--lists",
        type=user_path,
        nargs="+",
        default=[],
        help="train.csv, val.csv, test.csv (default: everything under --root named like a video)",
    )
    training, general = DEFAULTS["training"], DEFAULTS["general"]
    parser.add_argument(
        "--for",
        dest="purpose",
        choices=DEFAULTS,
        default="training",
        help="training: what clips of a stride are read from twice as fast, in files about a fifth larger; "
        "general: what x264 makes of its own (default: %(default)s)",
    )
    parser.add_argument(
        "--stride",
        type=int,
        help=f"frames from one to the next of the clips that training reads (default: {training.stride})",
    )
    parser.add_argument(
        "--short-side",
        type=int,
        default=training.short_side,
        help="pixels, even (default: %(default)s)",
    )
    parser.add_argument(
        "--gop",
        type=int,
        help=f"frames from one key frame to the next (default: for training the multiple of --stride nearest "
        f"{training.gop}, for general {general.gop})",
    )
    parser.add_argument(
        "--crf",
        type=int,
        help=f"x264's quality, 0 best .. 51 worst (default: {training.crf} for training, {general.crf} for "
        "general, which look alike)",
    )
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        default=training.preset,
        help="x264's preset, such as veryfast or medium (default: %(default)s)",
    )
    parser.add_argument(
        "--time-limit-seconds",
        type=float,
        default=600.0,
        help="a video that takes longer is given up (default: %(default)g)",
    )
    parser.add_argument("--retry-failed", action="store_true", help="try again what failed in an earlier run")
    add_run_options(parser, num_workers=allowed_processors(), workers_do="processes, of one thread each")
    return parser


if __name__ == "__main__":
    run_step(main)
