"""What a prepared data set holds: a table, and one HTML page that opens without a network."""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that the script runs from anywhere

from data_prep.atomic import read_table, write_text
from data_prep.console import console, run_step, show_table
from data_prep.plots import STYLE, bar_plot, histogram
from data_prep.shards import add_run_options, shard_of
from data_prep.video_lists import CLASSES

SUMMARY_COLUMNS = (*("split", "listed", "found", "readable", "missing", "plain", "hours", "median s", "GB"),)


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
        """Its duration."""
        return self.num_frames / self.fps


class ClassCount(NamedTuple):
    """How much of one class of one split is there, from the official list to the disk."""

    listed: int
    found: int


class DataSet(NamedTuple):
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


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns 0."""
    arguments = _parser().parse_args(argv)
    if shard_of(arguments).index > 0:
        console.print("nothing to do: the page is seconds of work, which shard 0 does")
        return 0
    data = read(arguments.manifests, arguments.annotations, arguments.root, num_workers=arguments.workers)
    rows = summary(data)
    show_table("splits", SUMMARY_COLUMNS, rows)
    show_table("largest and smallest classes", ("class", "videos"), _extremes(data))
    page = arguments.output / "stats.html"
    if arguments.dry_run:
        console.print(f"would write {page}; nothing was written")
        return 0
    write_text(page, html_page(data, rows, title=arguments.title))
    console.print(f"written to {page}")
    return 0


def read(manifests: Path, annotations: Path | None, root: Path | None, *, num_workers: int) -> DataSet:
    """Read what verify.py and annotations.py wrote.

    Raises:
        ValueError: The folder holds no manifest.
    """
    videos = {}
    for split in ("train", "val", "test", "videos"):
        file = manifests / f"{split}.csv"
        if file.exists():
            videos[split] = [_video(row) for row in read_table(file)]
    if not videos:
        raise ValueError(f"{manifests} holds no train.csv, val.csv, test.csv or videos.csv of verify.py")
    bad_file, classes_file = manifests / "bad.csv", manifests / CLASSES
    official = {}
    if annotations is not None:
        for row in read_table(annotations / "annotation_report.csv"):
            if int(row["listed"]):
                count = ClassCount(int(row["listed"]), int(row["found"]))
                official[row["class"], row["split"]] = count
    num_bytes = {}
    if root is not None:
        with ThreadPoolExecutor(num_workers) as pool:
            for split, of_split in videos.items():
                sizes = pool.map(lambda video: (root / video.path).stat().st_size, of_split)
                num_bytes[split] = sum(sizes)
    return DataSet(
        videos,
        read_table(bad_file) if bad_file.exists() else [],
        classes_file.read_text(encoding="utf-8").splitlines() if classes_file.exists() else [],
        official,
        num_bytes,
    )


def summary(data: DataSet) -> list[tuple[object, ...]]:
    """One row a split, of SUMMARY_COLUMNS; what is not known is a dash."""
    rows = []
    for split, videos in data.videos.items():
        counts = [count for (_, name), count in data.official.items() if name == split]
        listed, found = sum(c.listed for c in counts), sum(c.found for c in counts)
        seconds = [video.seconds for video in videos]
        rows.append(
            (
                split,
                listed or "-",
                found if listed else "-",
                len(videos),
                f"{100 * (1 - len(videos) / listed):.2f} %" if listed else "-",
                f"{100 * sum(video.plain for video in videos) / max(1, len(videos)):.1f} %",
                f"{sum(seconds) / 3600:.2f}",
                f"{median(seconds):.2f}" if seconds else "-",
                f"{data.num_bytes[split] / 1e9:.3f}" if split in data.num_bytes else "-",
            )
        )
    return rows


def html_page(data: DataSet, rows: Sequence[Sequence[object]], *, title: str) -> str:
    """The page: everything in one file, scripts none."""
    everything = [video for videos in data.videos.values() for video in videos]
    sections = [
        _section("Splits", _table(SUMMARY_COLUMNS, rows), wide=True),
        _section("Videos per class, from the largest class to the smallest", _class_plot(data)),
        _section(
            "Duration",
            histogram("Duration", [v.seconds for v in everything], num_bins=20, unit="s"),
        ),
        _section("Frames per second", _common("Frames per second", [f"{v.fps:.4g}" for v in everything])),
        _section("Resolution", _common("Resolution", [f"{v.width}x{v.height}" for v in everything])),
        _section("Codec", _common("Codec", [v.codec for v in everything])),
        _section("Missing, of the official list", _missing_plot(data)),
        _section(f"Bad files ({len(data.bad)})", _bad_table(data), wide=True),
        _section("Classes", _class_table(data), wide=True),
    ]
    return _PAGE.format(title=escape(title), style=_STYLE + STYLE, body="".join(sections))


def _video(row: Mapping[str, str]) -> Video:
    return Video(
        row["path"],
        row["label"],
        int(row["num_frames"]),
        float(row["fps"]),
        int(row["width"]),
        int(row["height"]),
        row["codec"],
        row["plain"] == "1",
    )


def _class_sizes(data: DataSet) -> dict[str, Counter[str]]:
    """Class name -> readable videos of each split, in label order."""
    sizes = {name: Counter[str]() for name in data.classes}
    for split, videos in data.videos.items():
        for video in videos:
            if video.label:
                known = int(video.label) < len(data.classes)
                name = data.classes[int(video.label)] if known else f"label {video.label}"
                sizes.setdefault(name, Counter())[split] += 1
    return sizes


def _extremes(data: DataSet) -> list[tuple[str, int]]:
    totals = sorted(
        ((name, sizes.total()) for name, sizes in _class_sizes(data).items()),
        key=lambda pair: (-pair[1], pair[0]),
    )
    return totals if len(totals) <= 6 else [*totals[:3], *totals[-3:]]


def _class_plot(data: DataSet) -> str:
    totals = sorted(((sizes.total(), name) for name, sizes in _class_sizes(data).items()), reverse=True)
    names = [name for _, name in totals]
    return bar_plot("Videos per class", names, [n for n, _ in totals], named=[""] * len(names), unit="videos")


def _common(title: str, values: Sequence[str], *, num_shown: int = 7) -> str:
    """The most frequent values, and the rest as one bar."""
    counts = Counter(values).most_common()
    shown = counts[:num_shown]
    rest = sum(count for _, count in counts[num_shown:])
    if rest:
        shown.append(("other", rest))
    names = [name for name, _ in shown]
    return bar_plot(title, names, [count for _, count in shown], named=names, unit="videos")


def _missing_plot(data: DataSet) -> str:
    if not data.official:
        return "<p>Not known: no annotation report was given.</p>"
    names, values = [], []
    for split, videos in data.videos.items():
        listed = sum(count.listed for (_, name), count in data.official.items() if name == split)
        if listed:
            names.append(split)
            values.append(round(100 * (1 - len(videos) / listed), 2))
    return bar_plot("Share missing", names, values, named=names, unit="%")


def _bad_table(data: DataSet) -> str:
    rows = [(row["path"], row["list"], row["reason"]) for row in data.bad]
    return _table(("path", "list", "reason"), rows) if rows else "<p>None.</p>"


def _class_table(data: DataSet) -> str:
    splits = list(data.videos)
    rows = []
    for label, (name, sizes) in enumerate(_class_sizes(data).items()):
        listed = sum(data.official[name, s].listed for s in splits if (name, s) in data.official)
        missing = f"{100 * (1 - sizes.total() / listed):.1f} %" if listed else "-"
        rows.append((label, name, *(sizes[split] for split in splits), missing))
    return _table(("label", "class", *splits, "missing"), rows)


def _section(title: str, content: str, *, wide: bool = False) -> str:
    kind = ' class="wide"' if wide else ""
    return f"<section{kind}><h2>{escape(title)}</h2>{content}</section>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td>{cell:,}</td>" if isinstance(cell, int) else f"<td>{escape(str(cell))}</td>" for cell in row
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


_STYLE = """
:root { color-scheme: light dark; --ink: #1a1c20; --quiet: #5c6370; --line: #d8dbe0;
  --paper: #ffffff; --accent: #2f6fb3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --quiet: #a0a6b0; --line: #3a3f47;
  --paper: #17191c; --accent: #6aa5e0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1240px; padding: 16px; background: var(--paper);
  color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 12px; }
h2 { font-size: 1rem; margin: 0 0 8px; }
main { display: grid; gap: 20px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 350px), 1fr)); }
section { min-width: 0; border: 1px solid var(--line); border-radius: 6px; padding: 12px; }
.wide { grid-column: 1 / -1; }
.scroll { overflow: auto; max-height: 420px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 3px 12px 3px 0; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { position: sticky; top: 0; background: var(--paper); color: var(--quiet); font-weight: 600; }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<main>{body}</main>
</body>
</html>
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stats.py", description=__doc__)
    parser.add_argument("--manifests", type=Path, required=True, help="output folder of verify.py")
    parser.add_argument(
        "--annotations", type=Path, help="output folder of annotations.py, for what is missing"
    )
    parser.add_argument("--root", type=Path, help="folder of the videos, for their size on the disk")
    parser.add_argument("--output", type=Path, required=True, help="folder to write stats.html to")
    parser.add_argument("--title", default="Data set", help="heading of the page (default: Data set)")
    add_run_options(parser, num_workers=16, workers_do="files whose size is asked at a time")
    return parser


if __name__ == "__main__":
    run_step(main)
