"""What is known of a prepared data set: what verify.py and annotations.py wrote, and sizes on the disk."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from data_prep.lists.text_files import read_text
from data_prep.lists.video_lists import CLASSES, IN_FRAMES, IN_SECONDS
from data_prep.running.console import progress_bar
from gcvideo.atomic import read_table
from gcvideo.video_files import is_picture_name

SPLITS = ("train", "val", "test", "videos")
COUNT = re.compile(r"[0-9]{1,9}")
NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")
_MEASURED = ("num_frames", "fps", "width", "height")
_COLUMNS = ("path", "label", *_MEASURED, "codec", "plain")
_FIRST_ROW = 2
"""The line below the header."""


class Video(NamedTuple):
    """What verify.py found of one readable row: a video, or a segment of one."""

    path: str
    labels: tuple[int, ...]
    """None, one or several."""
    num_frames: int
    """Of the video, as all that follows."""
    fps: float
    width: int
    height: int
    codec: str
    plain: bool
    segment: tuple[float, float] | None = None
    """Start and end in seconds; None of a whole video."""

    @property
    def video_seconds(self) -> float:
        """Return the duration of the video."""
        return self.num_frames / self.fps

    @property
    def seconds(self) -> float:
        """Return the duration of the row; a segment ends with its video."""
        if self.segment is None:
            return self.video_seconds
        start, end = self.segment
        return max(0.0, min(end, self.video_seconds) - start)


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
    of_split: dict[str, ClassCount]
    """Split -> counts of all classes together."""

    def listed(self, split: str) -> int:
        """Return how many videos of a split the official list has; 0 if there is none."""
        return self.of_split[split].listed if split in self.of_split else 0

    def found(self, split: str) -> int:
        """Return how many of them annotations.py found, readable or not."""
        return self.of_split[split].found if split in self.of_split else 0

    def files(self) -> list[Video]:
        """Return every video once, of however many segments and lists it is."""
        return list({video.path: video for videos in self.videos.values() for video in videos}.values())

    def class_name(self, label: int) -> str:
        """Return the name of a class, or what stands for one that has none."""
        return self.classes[label] if label < len(self.classes) else f"label {label}"

    def percent_missing(self, split: str) -> float:
        """Return 100 (1 - readable / listed)."""
        return 100 * (1 - len(self.videos[split]) / self.listed(split))

    @property
    def has_segments(self) -> bool:
        """Return whether a row is part of a video."""
        return any(video.segment for videos in self.videos.values() for video in videos)

    @property
    def has_label_sets(self) -> bool:
        """Return whether a row has several labels."""
        return any(len(video.labels) > 1 for videos in self.videos.values() for video in videos)

    def pairs(self) -> list[tuple[str, str, int]]:
        """Return two classes and how many rows have both, the most frequent first."""
        counts = Counter(
            pair
            for videos in self.videos.values()
            for video in videos
            for pair in combinations(sorted(set(video.labels)), 2)
        )
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return [(self.class_name(one), self.class_name(other), count) for (one, other), count in ordered]

    def class_sizes(self) -> dict[str, Counter[str]]:
        """Return class name -> readable videos of each split, in label order."""
        sizes = {name: Counter[str]() for name in self.classes}
        for split, videos in self.videos.items():
            for video in videos:
                for label in video.labels:
                    sizes.setdefault(self.class_name(label), Counter())[split] += 1
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
    official: dict[tuple[str, str], ClassCount] = {}
    of_split: dict[str, ClassCount] = {}
    if annotations is not None:
        report = annotations / "annotation_report.csv"
        if not report.exists():
            raise ValueError(
                f"{annotations} holds no annotation_report.csv; name the output of annotations.py"
            )
        counted = _counts(report, ("class", "split"))
        official = {(name, split): count for (name, split), count in counted.items()}
        for (_, split), count in official.items():
            before = of_split.get(split, ClassCount(0, 0))
            of_split[split] = ClassCount(before.listed + count.listed, before.found + count.found)
        if (report := annotations / "split_report.csv").exists():  # where a clip may be of several classes
            of_split = {split: count for (split,), count in _counts(report, ("split",)).items()}
    # The sizes on the disk
    num_bytes = {}
    if root is not None:
        with progress_bar() as bar, ThreadPoolExecutor(num_workers) as pool:
            paths_of = {split: {video.path: None for video in rows} for split, rows in videos.items()}
            task = bar.add_task("sizes on the disk", total=sum(map(len, paths_of.values())))
            for split, paths in paths_of.items():
                sizes = pool.map(lambda path: _num_bytes(root / path), paths)
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
        of_split,
    )


def _counts(report: Path, keys: Sequence[str]) -> dict[tuple[str, ...], ClassCount]:
    """Return the counts of a report of annotations.py by what these columns say, where anything is listed."""
    counts = {}
    for line, row in enumerate(read_table(report), start=_FIRST_ROW):
        listed, found = row.get("listed", ""), row.get("found", "")
        if not COUNT.fullmatch(listed) or not COUNT.fullmatch(found) or not {*keys} <= row.keys():
            raise ValueError(f"{report}:{line}: listed {listed!r} and found {found!r} are no numbers")
        if int(listed):
            counts[tuple(row[key] for key in keys)] = ClassCount(int(listed), int(found))
    return counts


def _num_bytes(video: Path) -> int:
    try:
        if video.is_dir():
            return sum(entry.stat().st_size for entry in video.iterdir() if is_picture_name(entry.name))
        return video.stat().st_size
    except FileNotFoundError as error:
        raise ValueError(f"{video}: no such file; --root is the folder that verify.py was given") from error


def _video(file: Path, line: int, row: Mapping[str, str]) -> Video:
    for column in _COLUMNS:
        if column not in row:
            raise ValueError(
                f"{file}: no column {column!r}; expected a manifest of verify.py, which has more columns "
                "than a list"
            )
    labels = [label.strip() for label in row["label"].split(";") if row["label"]]
    if not all(map(COUNT.fullmatch, labels)):
        raise ValueError(f"{file}:{line}: label {row['label']!r} is no class index; expected 0, 1, ...")
    found = [row[column] for column in _MEASURED]
    if not all(NUMBER.fullmatch(cell) and float(cell) > 0 for cell in found):
        raise ValueError(
            f"{file}:{line}: {', '.join(_MEASURED)} are {', '.join(found)}; expected numbers above 0, as "
            "verify.py writes them"
        )
    num_frames, fps, width, height = map(float, found)
    return Video(
        *(row["path"], tuple(map(int, labels)), int(num_frames), fps, int(width), int(height)),
        *(row["codec"], row["plain"] == "1"),
        _segment(file, line, row, fps=fps),
    )


def _segment(file: Path, line: int, row: Mapping[str, str], *, fps: float) -> tuple[float, float] | None:
    """Return start and end of a row in seconds; None of a whole video."""
    for columns, unit in ((IN_SECONDS, 1.0), (IN_FRAMES, fps)):
        if {*columns} <= row.keys():
            try:
                start, end = (float(row[column]) / unit for column in columns)
            except ValueError:
                found = " and ".join(repr(row[column]) for column in columns)
                raise ValueError(
                    f"{file}:{line}: {' and '.join(columns)} are {found}; expected numbers"
                ) from None
            return start, end
    return None
