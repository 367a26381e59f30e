"""Pack verified videos into shards: plain tar files of some gigabytes, and an index to read them by."""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Sequence
from os.path import normpath
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that the script runs from anywhere

from data_prep.archives.shard_files import ShardTask, Video, divided, write_shard
from data_prep.lists.listable_names import unlistable
from data_prep.lists.video_lists import CLASSES, copy_classes, listed_checksums, paths_of, read_lists
from data_prep.running.console import counted, program, run_step, say, show_first, show_table
from data_prep.running.journal import Journal, file_state
from data_prep.running.shards import add_run_options, allowed_processors, shard_of
from data_prep.running.unfinished import run_unfinished
from data_prep.running.workers import CallResult
from gcvideo.atomic import partial_of, replacing, write_table
from gcvideo.paths import user_path
from gcvideo.shards.index import INDEX, Member, ShardFile, write_index

BAD_COLUMNS = ("path", "reason")
REPORT_COLUMNS = ("shard", "videos", "bytes")
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?)i?B?", re.IGNORECASE)
TIME_LIMIT_SECONDS = 6 * 3600.0
"""For one shard, from the slowest of disks."""


def main(argv: Sequence[str] | None = None) -> int:
    """Pack, and return 0; or 1 if a video is not what was verified, and there is no index then."""
    arguments = _parser().parse_args(argv)
    share = shard_of(arguments)
    root, output = arguments.root, arguments.output
    # What there is to pack
    lists = read_lists(arguments.lists, root=root, num_workers=arguments.workers)
    videos = verified_videos(paths_of(lists), listed_checksums(lists), root=root)
    shards = divided(videos, shard_bytes=arguments.shard_size)
    digits = max(5, len(str(len(shards) - 1)))
    names = [f"shard-{number:0{digits}}.tar" for number in range(len(shards))]
    partials = output / f".partial{share.suffix}"
    tasks = [
        ShardTask(name, output / name, partials / f"{os.getpid()}-{name}", inside)
        for name, inside in zip(names, shards, strict=True)
    ]
    mine = share.share(tasks)
    num_bytes = sum(video.size for task in mine for video in task.videos)
    if arguments.dry_run:
        num_videos = sum(len(task.videos) for task in mine)
        say(
            f"would pack {counted(num_videos, 'video')}, {num_bytes / 1e9:,.1f} GB, into "
            f"{counted(len(mine), 'shard')}; nothing was written"
        )
        return 0
    # Write the shards that are not there
    with Journal(output, step="pack", shard=share) as journal:
        shutil.rmtree(partials, ignore_errors=True)  # what a killed run left
        rows = pack(mine, journal=journal, num_workers=arguments.workers)
        shutil.rmtree(partials, ignore_errors=True)
    # Say what came of it
    bad = [cells for row in rows.values() for cells in row.get("bad", ())]
    write_table(output / f"pack_bad{share.suffix}.csv", BAD_COLUMNS, bad)
    if bad:
        show_first("not packed", BAD_COLUMNS, bad, whole=output / f"pack_bad{share.suffix}.csv")
        say("there is no index: fetch these again, or verify and pack without them", style="red")
        return 1
    report = [(task.path, len(task.videos), rows[task.path]["num_bytes"]) for task in mine]
    write_table(output / f"pack_report{share.suffix}.csv", REPORT_COLUMNS, report)
    # The index and the lists, once all is there
    if share.num_shards == 1:
        write_set(tasks, rows, lists=arguments.lists, output=output)
    total = [(len(report), sum(row[1] for row in report), sum(row[2] for row in report))]
    show_table(f"written to {output}", ("shards", "videos", "bytes"), total)
    return 0


def verified_videos(paths: Sequence[str], checksums: dict[str, int], *, root: Path) -> list[Video]:
    """Return the videos of lists of verify.py, as they are on the disk.

    Raises:
        ValueError: One was not verified, is not there, or lies elsewhere than below the root.
    """
    base = os.path.abspath(root)  # noqa: PTH100 (lexical: a data set of links stays inside its root)
    videos: dict[str, Video] = {}
    absent = []
    for path in paths:
        if path not in checksums:
            raise ValueError(
                f"{path}: its list has no crc32 for it, so that it was not verified; run "
                "data_prep/verify.py, and pack the lists that it writes"
            )
        full = normpath(os.path.join(base, path))  # noqa: PTH118
        name = full.removeprefix(base.rstrip("/") + "/")
        trouble = "leads out of --root" if name == full else unlistable(name)
        if trouble is not None:
            raise ValueError(f"{path}: {trouble}; expected a path below {root}")
        if os.path.isdir(full):  # noqa: PTH112
            raise ValueError(f"{path}: is a folder; videos are packed, and not yet pictures")
        try:
            videos[name] = Video(name, Path(full), os.stat(full).st_size, checksums[path])  # noqa: PTH116
        except OSError:
            absent.append(path)
    if absent:
        raise ValueError(
            f"{len(absent):,} of {len(paths):,} videos are not there, as {absent[0]}; fetch them, or run "
            "data_prep/verify.py again and pack the lists that it writes"
        )
    return list(videos.values())


def pack(tasks: Sequence[ShardTask], *, journal: Journal, num_workers: int) -> dict[str, dict[str, Any]]:
    """Write shards in worker processes; those that are there are left.

    Returns:
        Name of the shard -> what write_shard yields.

    Raises:
        OSError: The disk is full, or cannot be written to.
    """

    def row_of(result: CallResult[ShardTask]) -> dict[str, Any]:
        row = result.results[-1] if result.fault is None else {"unwritable": result.fault}
        if "unwritable" in row:
            raise OSError(f"{result.item.target}: {row['unwritable']}")
        return row

    return run_unfinished(
        write_shard,
        tasks,
        step="pack",
        journal=journal,
        state_of=lambda task: file_state(task.target, task.content),
        is_done=lambda task, row: "members" in row,
        row_of=row_of,
        num_workers=num_workers,
        time_limit_seconds=TIME_LIMIT_SECONDS,
    )


def write_set(
    tasks: Sequence[ShardTask], rows: dict[str, dict[str, Any]], *, lists: Sequence[Path], output: Path
) -> None:
    """Write the index of all shards, and lay the lists beside it, so that the folder is a data set."""
    members = (
        Member(video.path, number, offset, video.size, video.crc32, blocks)
        for number, task in enumerate(tasks)
        for video, (offset, blocks) in zip(task.videos, rows[task.path]["members"], strict=True)
    )
    shards = [ShardFile(task.path, rows[task.path]["num_bytes"]) for task in tasks]
    with replacing(output / INDEX) as partial:
        write_index(partial, members, shards)
    for file in lists:
        if file.resolve() != (output / file.name).resolve():
            with replacing(output / file.name) as partial:
                shutil.copyfile(file, partial)
    copy_classes(lists, output, partial=partial_of(output / CLASSES))
    _copy_packet_index({file.parent for file in lists}, output)


def _copy_packet_index(folders: set[Path], output: Path) -> None:
    """Copy what lies beside the lists, by which training fetches no more of a video than it decodes."""
    from gcvideo.data.decoding.packet_file import PACKET_INDEX  # here, since it imports PyTorch

    found = [folder / PACKET_INDEX for folder in folders if (folder / PACKET_INDEX).is_file()]
    if len(found) == len(folders) == 1 and found[0].resolve() != (output / PACKET_INDEX).resolve():
        with replacing(output / PACKET_INDEX) as partial:
            shutil.copyfile(found[0], partial)


def _bytes(text: str) -> int:
    match = SIZE.fullmatch(text.strip())
    num_bytes = round(float(match[1]) * 1000 ** " KMGT".index(match[2].upper() or " ")) if match else 0
    if num_bytes < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; expected one such as 2GB or 500MB")
    return num_bytes


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("pack"),
        description=__doc__,
        epilog="The checksum of every video is compared with its list while it is packed. The output is a "
        f"data set: shard-00000.tar, ..., the index {INDEX}, the lists and classes.txt. Equal videos make "
        "equal shards, byte for byte; `tar xf` unpacks them.",
    )
    parser.add_argument("--root", type=user_path, required=True, help="folder that paths are under")
    parser.add_argument("--output", type=user_path, required=True, help="folder to write the shards to")
    parser.add_argument(
        "--lists", type=user_path, nargs="+", required=True, help="lists that data_prep/verify.py wrote"
    )
    parser.add_argument(
        "--shard-size",
        type=_bytes,
        default="2GB",
        metavar="SIZE",
        help="bytes of videos in a shard at most, unless one alone has more (default: %(default)s)",
    )
    add_run_options(parser, num_workers=allowed_processors(), workers_do="processes, one shard each")
    return parser


if __name__ == "__main__":
    run_step(main)
