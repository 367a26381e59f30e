"""Decode every video once and write the lists that training reads, and the list of bad files."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that the script runs from anywhere

from data_prep.lists.listable_names import unlistable
from data_prep.lists.manifest import MANIFEST_COLUMNS, VideoProperties
from data_prep.lists.video_lists import (
    CLASSES,
    VideoList,
    copy_classes,
    listed_checksums,
    paths_of,
    read_lists,
)
from data_prep.running.console import run_step, say, show_first, show_table
from data_prep.running.journal import Journal, file_state
from data_prep.running.shards import Shard, add_run_options, allowed_processors, shard_of
from data_prep.running.unfinished import run_unfinished
from data_prep.running.workers import CallResult
from data_prep.videos.transcoding import why_not_transcoded
from gcvideo.atomic import partial_of, write_table
from gcvideo.paths import user_path

BAD_COLUMNS = ("path", "label", "list", "reason")
NOT_PLAIN_COLUMNS = ("path", "reason")


class VideoFile(NamedTuple):
    """One video to examine."""

    path: str
    """As the lists name it."""
    file: Path


def main(argv: Sequence[str] | None = None) -> int:
    """Verify, and return 0: a video that is bad is a row of a list, not a failure of the step."""
    arguments = _parser().parse_args(argv)
    shard = shard_of(arguments)
    root, output = arguments.root, arguments.output
    # What there is to verify
    lists = read_lists(arguments.lists, root=root, num_workers=arguments.workers, takes_folders=True)
    if any(file.parent.resolve() == output.resolve() for file in arguments.lists):
        raise ValueError(f"--output {output} holds the lists to be read; name another folder")
    mine = shard.share([VideoFile(path, root / path) for path in paths_of(lists)])
    if arguments.dry_run:
        say(f"would decode {len(mine):,} videos under {root}; nothing was written")
        return 0
    # Decode what is not done
    with Journal(output, step="verify", shard=shard) as journal:
        rows = verify(
            mine,
            journal=journal,
            num_workers=arguments.workers,
            time_limit_seconds=arguments.time_limit_seconds,
            retry_failed=arguments.retry_failed,
        )
    # What other steps know of the videos
    for path, reason in why_not_transcoded(root).items():
        if path in rows and not os.path.lexists(root / path):
            rows[path] = {"bad": f"not transcoded: {reason}"}
    for path, listed in listed_checksums(arguments.lists).items():
        if (found := rows.get(path, {}).get("crc32", listed)) != listed:
            rows[path] = {"bad": f"changed since it was verified: its checksum is {found}, and was {listed}"}
    # The lists for training
    write_lists(lists, rows, output=output, shard=shard)
    if shard.num_shards == 1:
        copy_classes(arguments.lists, output, partial=partial_of(output / CLASSES))
    return 0


def verify(
    tasks: Sequence[VideoFile],
    *,
    journal: Journal,
    num_workers: int,
    time_limit_seconds: float,
    retry_failed: bool,
) -> dict[str, dict[str, Any]]:
    """Examine videos in killable processes; those that were, and have not changed since, are left.

    Returns:
        path -> the properties, or {"bad": reason}.
    """

    def is_done(task: VideoFile, row: dict[str, Any]) -> bool:
        return "crc32" in row or ("bad" in row and not retry_failed)

    def row_of(result: CallResult[VideoFile]) -> dict[str, Any]:
        return result.results[-1] if result.results else {"bad": f"while it was decoded: {result.fault}"}

    return run_unfinished(
        verify_one,
        tasks,
        step="verify",
        journal=journal,
        state_of=lambda task: file_state(task.file),
        is_done=is_done,
        row_of=row_of,
        num_workers=num_workers,
        time_limit_seconds=time_limit_seconds,
    )


def verify_one(task: VideoFile) -> Iterator[dict[str, Any]]:
    """Yield the properties of one video, or {"bad": reason}."""
    from data_prep.videos.whole_decode import examine  # here, since they import PyTorch, which takes seconds
    from gcvideo.data.decoding.reader import DecodeError

    if (trouble := unlistable(task.path)) is not None:
        yield {"bad": trouble}
        return
    try:
        for properties in examine(task.file):
            yield properties._asdict()
    except (DecodeError, OSError, MemoryError) as error:
        yield {"bad": (str(error) or type(error).__name__).replace(f"{task.file}: ", "")}


def write_lists(
    lists: Sequence[VideoList],
    rows: Mapping[str, dict[str, Any]],
    *,
    output: Path,
    shard: Shard,
) -> None:
    """Write each list with the good videos of this shard, bad.csv and not_plain.csv."""
    bad: list[Sequence[object]] = []
    summary: list[Sequence[object]] = []
    for name, videos in lists:
        good = []
        mine = [video for video in videos if video.path in rows]
        for path, label, *_ in mine:
            row = rows[path]
            if "bad" in row:
                bad.append((path, label, name, row["bad"]))
            else:
                properties = VideoProperties(**row)
                good.append((path, label, *properties[:-1], int(not properties.not_plain)))
        write_table(output / _of_shard(name, shard), MANIFEST_COLUMNS, good)
        plain = sum(row[-1] for row in good)
        summary.append((name, len(mine), len(good), plain, len(mine) - len(good)))
    not_plain = [(path, row["not_plain"]) for path, row in rows.items() if row.get("not_plain")]
    write_table(output / _of_shard("bad.csv", shard), BAD_COLUMNS, bad)
    write_table(output / _of_shard("not_plain.csv", shard), NOT_PLAIN_COLUMNS, sorted(not_plain))
    if bad:
        show_first("bad", BAD_COLUMNS, bad, whole=output / _of_shard("bad.csv", shard))
    show_table(f"written to {output}", ("list", "videos", "good", "plain", "bad"), summary)


def _of_shard(name: str, shard: Shard) -> str:
    return name if shard.num_shards == 1 else f"{Path(name).stem}{shard.suffix}{Path(name).suffix}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="verify.py",
        description=__doc__,
        epilog="Each list keeps its name and its readable videos, with the number of frames that "
        "really come out, fps, size as shown, codec, rotation, stream, and plain: 1 where decord "
        "gives the same frames as decoding in order; and crc32, the file's checksum, which training "
        "compares whenever it reads the file, and this script if it is given such a list. bad.csv names "
        "every other video and why; "
        "not_plain.csv says why videos are not plain.",
    )
    parser.add_argument("--root", type=user_path, required=True, help="folder that paths are under")
    parser.add_argument("--output", type=user_path, required=True, help="folder to write the lists to")
    parser.add_argument(
        "--lists",
        type=user_path,
        nargs="+",
        default=[],
        help="train.csv, val.csv, test.csv (default: everything under --root named like a video, "
        "into videos.csv)",
    )
    parser.add_argument(
        "--time-limit-seconds",
        type=float,
        default=120.0,
        help="a video that takes longer is bad (default: %(default)g)",
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="examine again what was bad in an earlier run"
    )
    add_run_options(parser, num_workers=allowed_processors(), workers_do="processes, of one thread each")
    return parser


if __name__ == "__main__":
    run_step(main)
