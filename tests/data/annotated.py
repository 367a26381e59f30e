"""A small annotated data set of videos whose frame i shows the number i."""

from collections.abc import Sequence
from pathlib import Path

from gcvideo.clip import Verified, VideoRecord
from gcvideo.data.decoding import Backend, VideoReader, open_video
from gcvideo.data.decoding.index import index_stream
from gcvideo.data.decoding.plain import why_not_plain
from gcvideo.data.decoding.pyav import PyAVReader
from tests.data.encoding import h264, write_video

CLASS_NAMES = ["one", "two", "three"]


def write_records(root: Path, lengths: Sequence[int]) -> list[VideoRecord]:
    """One video of each length; video i has label i mod 3."""
    root.mkdir(parents=True, exist_ok=True)
    records = []
    for index, num_frames in enumerate(lengths):
        path = root / f"{index:02d}.mp4"
        write_video(path, num_frames=num_frames, options=h264(keyint=12))
        records.append(VideoRecord(path, index % 3, path.name))
    return records


def verified(path: Path) -> Verified:
    """What data_prep/verify.py finds of an undamaged video."""
    index = index_stream(path)
    plain, size = why_not_plain(index) is None, index.size
    with PyAVReader(index) as reader:
        return Verified(len(reader), reader.fps, *size, plain)


def open_verified(path: Path, backend: Backend) -> VideoReader:
    """The video as it is opened from a list that data_prep/verify.py wrote."""
    return open_video(path, backend, verified=verified(path))


def write_dataset(root: Path, *, train: int, val: int, test: int) -> Path:
    """Videos of 14, 15, ... frames, lists train.csv, val.csv and test.csv of them, and classes.txt."""
    records = write_records(root, range(14, 14 + max(train, val, test)))
    for split, num_videos in {"train": train, "val": val, "test": test}.items():
        rows = [f"{record.video_id},{record.label}" for record in records[:num_videos]]
        (root / f"{split}.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    (root / "classes.txt").write_text("\n".join(CLASS_NAMES) + "\n")
    return root
