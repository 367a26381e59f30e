"""What is known of a prepared data set: what verify.py and annotations.py wrote, and sizes on the disk."""

import re
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from data_prep.lists.text_files import read_text
from data_prep.lists.video_lists import CLASSES
from data_prep.running.console import progress_bar
from gcvideo.atomic import read_table
from gcvideo.video_files import is_picture_name

SPLITS = ("train", "val", "test", "videos")
COUNT = re.compile(r"[0-9]{1,9}")
NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")
_MEASURED = ("num_frames", "fps", "width", "height")
_FIRST_ROW = 2
"""The line below the header."""


class Video(NamedTuple):
    """What verify.py found of one readable video."""

    path: str
    label: str
    num_frames: int
    fps: float
    width: int
    height: int
    codec: str
    plain: bool

    @property
    def seconds(self) -> float:
        """Return its duration."""
        return self.num_frames / self.fps


class ClassCount(NamedTuple):
    """How much of one class of one split is there, from the official list to the disk."""

    listed: int
    found: int


class PreparedDataSet(NamedTuple):
    """Everything that is known."""

    videos: dict[str, list[Video]]
    """Split -> readable videos."""
    bad: list[dict[str, str]]
    """Rows of bad.csv."""
    classes: list[str]
    """Class names in label order."""
    official: dict[tuple[str, str], ClassCount]
    """(class, split) -> counts of annotation_report.csv; empty without one."""
    num_bytes: dict[str, int]
    """Split -> bytes on the disk; empty without a root."""

    def listed(self, split: str) -> int:
        """Return how many videos of a split the official list has; 0 if there is none."""
        return sum(count.listed for (_, name), count in self.official.items() if name == split)

    def found(self, split: str) -> int:
        """Return how many of them annotations.py found, readable or not."""
        return sum(count.found for (_, name), count in self.official.items() if name == split)

    def percent_missing(self, split: str) -> float:
        """Return 100 (1 - readable / listed)."""
        return 100 * (1 - len(self.videos[split]) / self.listed(split))

    def class_sizes(self) -> dict[str, Counter[str]]:
        """Return class name -> readable videos of each split, in label order."""
        sizes = {name: Counter[str]() for name in self.classes}
        for split, videos in self.videos.items():
            for video in videos:
                if video.label:
                    known = int(video.label) < len(self.classes)
                    name = self.classes[int(video.label)] if known else f"label {video.label}"
                    sizes.setdefault(name, Counter())[split] += 1
        return sizes


def read_prepared(
    manifests: Path, annotations: Path | None, root: Path | None, *, num_workers: int
) -> PreparedDataSet:
    """Read what verify.py and annotations.py wrote.

    Raises:
        ValueError: The folders hold no manifest, no report or no such videos.
    """
    # The manifests
    files = {split: manifests / f"{split}.csv" for split in SPLITS}
    with progress_bar() as bar:
        there = {split: file for split, file in files.items() if file.exists()}
        task = bar.add_task("read lists", total=len(there))
        videos = {}
        for split, file in there.items():
            videos[split] = [
                _video(file, line, row) for line, row in enumerate(read_table(file), start=_FIRST_ROW)
            ]
            bar.advance(task)
    if not videos:
        raise ValueError(f"{manifests} holds no train.csv, val.csv, test.csv or videos.csv of verify.py")
    # The official counts
    bad_file, classes_file = manifests / "bad.csv", manifests / CLASSES
    official = {}
    if annotations is not None:
        report = annotations / "annotation_report.csv"
        if not report.exists():
            raise ValueError(
                f"{annotations} holds no annotation_report.csv; name the output of annotations.py"
            )
        for line, row in enumerate(read_table(report), start=_FIRST_ROW):
            listed, found = row.get("listed", ""), row.get("found", "")
            if (
                not COUNT.fullmatch(listed)
                or not COUNT.fullmatch(found)
                or not {"class", "split"} <= row.keys()
            ):
                raise ValueError(f"{report}:{line}: listed {listed!r} and found {found!r} are no numbers")
            if int(listed):
                official[row["class"], row["split"]] = ClassCount(int(listed), int(found))
    # The sizes on the disk
    num_bytes = {}
    if root is not None:
        with progress_bar() as bar, ThreadPoolExecutor(num_workers) as pool:
            task = bar.add_task("sizes on the disk", total=sum(map(len, videos.values())))
            for split, of_split in videos.items():
                sizes = pool.map(lambda video: _num_bytes(root / video.path), of_split)
                num_bytes[split] = 0
                for size in sizes:
                    num_bytes[split] += size
                    bar.advance(task)
    return PreparedDataSet(
        videos,
        read_table(bad_file) if bad_file.exists() else [],
        read_text(classes_file).splitlines() if classes_file.exists() else [],
        official,
        num_bytes,
    )


def _num_bytes(video: Path) -> int:
    try:
        if video.is_dir():
            return sum(entry.stat().st_size for entry in video.iterdir() if is_picture_name(entry.name))
        return video.stat().st_size
    except FileNotFoundError as error:
        raise ValueError(f"{video}: no such file; --root is the folder that verify.py was given") from error


def _video(file: Path, line: int, row: Mapping[str, str]) -> Video:
    for column in Video._fields:
        if column not in row:
            raise ValueError(
                f"{file}: no column {column!r}; expected a manifest of verify.py, which has more columns "
                "than a list"
            )
    if row["label"] and not COUNT.fullmatch(row["label"]):
        raise ValueError(f"{file}:{line}: label {row['label']!r} is no class index; expected 0, 1, ...")
    found = [row[column] for column in _MEASURED]
    if not all(NUMBER.fullmatch(cell) and float(cell) > 0 for cell in found):
        raise ValueError(
            f"{file}:{line}: {', '.join(_MEASURED)} are {', '.join(found)}; expected numbers above 0, as "
            "verify.py writes them"
        )
    num_frames, fps, width, height = map(float, found)
    return Video(
        *(row["path"], row["label"], int(num_frames), fps, int(width), int(height)),
        *(row["codec"], row["plain"] == "1"),
    )
