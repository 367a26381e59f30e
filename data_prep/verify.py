"""Decode every video once and write the lists that training reads, and the list of bad files."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that the script runs from anywhere

from data_prep.lists.listable_names import unlistable
from data_prep.lists.manifest import MANIFEST_COLUMNS
from data_prep.lists.video_lists import (
    CLASSES,
    IN_SECONDS,
    VideoList,
    copy_classes,
    listed_checksums,
    paths_of,
    read_lists,
)
from data_prep.running.console import counted, program, run_step, say, show_first, show_table
from data_prep.running.journal import FileState, Journal, file_state
from data_prep.running.shards import Shard, add_run_options, allowed_processors, shard_of
from data_prep.running.unfinished import run_unfinished
from data_prep.running.workers import CallResult
from data_prep.videos.transcoding import why_not_transcoded
from gcvideo.atomic import partial_of, write_table
from gcvideo.paths import user_path

if TYPE_CHECKING:
    from data_prep.lists.packet_parts import PacketParts

BAD_COLUMNS = ("path", "label", "list", "reason")
NOT_PLAIN_COLUMNS = ("path", "reason")
PACKETS = "packets"
"""Under which a video's row of the packet index comes from the process that made it."""


class FrameOptions(NamedTuple):
    """What the pictures of a folder are called and how fast they follow one another: data.frames."""

    template: str | None = None
    first: int | None = None
    fps: float = 30.0


class VideoFile(NamedTuple):
    """One video to examine."""

    path: str
    """As the lists name it."""
    file: Path
    frames: FrameOptions = FrameOptions()
    with_times: bool = False
    """Whether it is to be found out when frames are shown: a list has segments of it in seconds."""


def main(argv: Sequence[str] | None = None) -> int:
    """Verify, and return 0: a video that is bad is a row of a list, not a failure of the step."""
    arguments = _parser().parse_args(argv)
    shard = shard_of(arguments)
    root, output = arguments.root, arguments.output
    # What there is to verify
    lists = read_lists(arguments.lists, root=root, num_workers=arguments.workers, takes_folders=True)
    if any(file.parent.resolve() == output.resolve() for file in arguments.lists):
        raise ValueError(f"--output {output} holds the lists to be read; name another folder")
    frames = _frame_options(arguments)
    timed = {video.path for one in lists if one.bounds == IN_SECONDS for video in one.videos}
    mine = shard.share([VideoFile(path, root / path, frames, path in timed) for path in paths_of(lists)])
    if arguments.dry_run:
        say(f"would decode {len(mine):,} videos under {root}; nothing was written")
        return 0
    from data_prep.lists.packet_parts import (
        PacketParts,  # here, since it imports PyTorch, which takes seconds
    )

    # Decode what is not done
    with Journal(output, step="verify", shard=shard) as journal:
        packets = PacketParts(output, shard=shard)
        rows, states = verify(
            mine,
            journal=journal,
            packets=packets,
            num_workers=arguments.workers,
            time_limit_seconds=arguments.time_limit_seconds,
            retry_failed=arguments.retry_failed,
        )
    # What other steps know of the videos
    for path, reason in why_not_transcoded(root).items():
        if path in rows and not os.path.lexists(root / path):
            rows[path] = {"bad": f"not transcoded: {reason}"}
    for path, listed in listed_checksums(lists).items():
        if (found := rows.get(path, {}).get("crc32", listed)) != listed:
            rows[path] = {"bad": f"changed since it was verified: its checksum is {found}, and was {listed}"}
    # The lists for training
    write_lists(lists, rows, root=root, frames=frames, output=output, shard=shard)
    if shard.num_shards == 1:
        copy_classes(arguments.lists, output, partial=partial_of(output / CLASSES))
        bad = {path for path, row in rows.items() if "bad" in row}
        good = [(path, states[path]) for path in rows if path not in bad]
        num_indexed = packets.write_index(output, good, bad=bad, root=root)
        say(f"{num_indexed:,} of {counted(len(good), 'video')} can be opened by the packet index")
    return 0


def verify(
    tasks: Sequence[VideoFile],
    *,
    journal: Journal,
    packets: "PacketParts",
    num_workers: int,
    time_limit_seconds: float,
    retry_failed: bool,
) -> tuple[dict[str, dict[str, Any]], dict[str, FileState]]:
    """Examine videos in killable processes; those that were, and have not changed since, are left.

    Returns:
        path -> the properties, or {"bad": reason}; and path -> what the video looks like.
    """
    states: dict[str, FileState] = {}

    def state_of(task: VideoFile) -> FileState:
        states[task.path] = _state_of(task)
        return states[task.path]

    def is_done(task: VideoFile, row: dict[str, Any]) -> bool:
        is_examined = (
            "crc32" in row
            and not (task.with_times and row.get("duration_seconds") is None)
            and packets.has(task.path, states[task.path])
        )
        return is_examined or ("bad" in row and not retry_failed)

    def row_of(result: CallResult[VideoFile]) -> dict[str, Any]:
        row: dict[str, Any] = (
            result.results[-1] if result.results else {"bad": f"while it was decoded: {result.fault}"}
        )
        if "bad" not in row:
            # Without, decoding it by the row crashed, or took too long.
            of_packets = row.pop(PACKETS, row_that_says(str(result.fault)))
            packets.add(result.item.path, state_of(result.item), of_packets)
        return row

    from gcvideo.data.decoding.packet_row import row_that_says

    rows = run_unfinished(
        verify_one,
        tasks,
        step="verify",
        journal=journal,
        state_of=state_of,
        is_done=is_done,
        row_of=row_of,
        num_workers=num_workers,
        time_limit_seconds=time_limit_seconds,
    )
    return rows, states


def _state_of(task: VideoFile) -> FileState:
    """Return what a video looks like; a folder by the names and sizes of its pictures too."""
    if not task.file.is_dir():
        return file_state(task.file)
    from gcvideo.data.decoding.checksum import crc32_of_folder

    try:
        return file_state(task.file, f"{task.frames} {crc32_of_folder(task.file)}")
    except OSError:  # it may not be listed
        return file_state(task.file, str(task.frames))


def verify_one(task: VideoFile) -> Iterator[dict[str, Any]]:
    """Yield the properties of one video, at last with its packets, or {"bad": reason}."""
    from data_prep.videos.packet_rows import packet_row
    from data_prep.videos.whole_decode import examine  # here, since they import PyTorch, which takes seconds
    from gcvideo.data.decoding.frames import FrameNames
    from gcvideo.data.decoding.reader import DecodeError

    if (trouble := unlistable(task.path)) is not None:
        yield {"bad": trouble}
        return
    try:
        frames = FrameNames(*task.frames)
        found: dict[str, Any] = {}
        for properties in examine(task.file, frames=frames, with_times=task.with_times):
            found = properties._asdict()
            yield found
        of_packets = b"" if task.file.is_dir() else packet_row(task.file, crc32=found["crc32"])
        yield found | {PACKETS: of_packets}
    except (DecodeError, OSError, MemoryError) as error:
        yield {"bad": (str(error) or type(error).__name__).replace(f"{task.file}: ", "")}


def write_lists(
    lists: Sequence[VideoList],
    rows: Mapping[str, dict[str, Any]],
    *,
    root: Path,
    frames: FrameOptions,
    output: Path,
    shard: Shard,
) -> None:
    """Write each list with the good rows of this shard's videos, bad.csv and not_plain.csv."""
    from data_prep.videos.samples import judged_rows  # here, since they import PyTorch, which takes seconds
    from gcvideo.data.decoding import FrameNames, OpenAny

    opened = OpenAny(frames=FrameNames(*frames))
    bad: list[Sequence[object]] = []
    summary: list[Sequence[object]] = []
    for one in lists:
        judged = judged_rows(one, rows, root=root, opened=opened)
        good = [(row, row.properties) for row in judged if not row.reason and row.properties is not None]
        cells = [
            (row.video.path, *row.video.segment, row.video.label, *properties.cells())
            for row, properties in good
        ]
        path, *others = MANIFEST_COLUMNS
        write_table(output / _of_shard(one.name, shard), (path, *one.bounds, *others), cells)
        wrong = [row for row in judged if row.reason]
        bad += [(row.name, row.video.label, one.name, row.reason) for row in wrong]
        num_videos = len({row.video.path for row, _ in good})
        plain = sum(not properties.not_plain for _, properties in good)
        summary.append((one.name, len(judged), len(good), num_videos, plain, len(wrong)))
        if cut := sum(row.ends_with_video for row, _ in good):
            say(f"{one.name}: {counted(cut, 'segment')} end less than 0.5 s behind the video, and with it")
    not_plain = [(path, row["not_plain"]) for path, row in rows.items() if row.get("not_plain")]
    write_table(output / _of_shard("bad.csv", shard), BAD_COLUMNS, bad)
    write_table(output / _of_shard("not_plain.csv", shard), NOT_PLAIN_COLUMNS, sorted(not_plain))
    if bad:
        show_first("bad", BAD_COLUMNS, bad, whole=output / _of_shard("bad.csv", shard))
    show_table(f"written to {output}", ("list", "rows", "good", "of videos", "plain", "bad"), summary)


def _frame_options(arguments: argparse.Namespace) -> FrameOptions:
    """Return what is said of folders of pictures; ValueError if it cannot be."""
    frames = FrameOptions(arguments.frames_template, arguments.frames_first, arguments.frames_fps)
    if frames != FrameOptions():
        from gcvideo.data.decoding.frames import FrameNames

        FrameNames(*frames)
    return frames


def _of_shard(name: str, shard: Shard) -> str:
    return name if shard.num_shards == 1 else f"{Path(name).stem}{shard.suffix}{Path(name).suffix}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("verify"),
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
        help="train.csv, val.csv, test.csv, or others that training reads: of videos, of segments, of "
        "folders of frames (default: everything under --root named like a video, into videos.csv)",
    )
    folders = parser.add_argument_group("folders of pictures, as data.frames says it to training")
    folders.add_argument(
        "--frames-template", metavar="NAME", help="as img_{:05}.jpg (default: all pictures, by their numbers)"
    )
    folders.add_argument(
        "--frames-first", type=int, metavar="N", help="number of the first (default: 0 or 1, or the smallest)"
    )
    folders.add_argument(
        "--frames-fps",
        type=float,
        default=FrameOptions().fps,
        help="frames per second, which segments in seconds go by (default: %(default)g)",
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
