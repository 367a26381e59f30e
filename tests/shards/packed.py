"""Small shards of bytes that need not be videos."""

import random
import zlib
from pathlib import Path

from data_prep.archives.shard_files import ShardTask, Video, write_shard
from gcvideo.shards.index import INDEX, Member, ShardFile, write_index


def write_shard_of(folder: Path, root: Path, paths: list[str]) -> None:
    """Write one shard of files below a root."""
    folder.mkdir(parents=True)
    files = {path: (root / path).read_bytes() for path in sorted(paths)}
    videos = [Video(path, root / path, len(data), zlib.crc32(data)) for path, data in files.items()]
    (row,) = write_shard(ShardTask("shard-00000.tar", folder / "shard-00000.tar", folder / ".new", videos))
    members = [
        Member(video.path, 0, offset, video.size, video.crc32, blocks)
        for video, (offset, blocks) in zip(videos, row["members"], strict=True)
    ]
    write_index(folder / INDEX, members, [ShardFile("shard-00000.tar", row["num_bytes"])])


def write_shards(folder: Path, sizes: list[list[int]]) -> dict[str, bytes]:
    """Write a shard for each list of sizes; returns the members by path."""
    contents: dict[str, bytes] = {}
    members, shards = [], []
    (folder / "files").mkdir(parents=True)
    for number, inside in enumerate(sizes):
        videos = []
        for size in inside:
            path = f"{len(contents):03}.mp4"
            contents[path] = random.Random(path).randbytes(size)
            (folder / "files" / path).write_bytes(contents[path])
            videos.append(Video(path, folder / "files" / path, size, zlib.crc32(contents[path])))
        name = f"shard-{number:05}.tar"
        task = ShardTask(name, folder / name, folder / f".{name}", videos)
        (row,) = write_shard(task)
        shards.append(ShardFile(name, row["num_bytes"]))
        for video, (offset, blocks) in zip(videos, row["members"], strict=True):
            members.append(Member(video.path, number, offset, video.size, video.crc32, blocks))
    write_index(folder / INDEX, members, shards)
    return contents
