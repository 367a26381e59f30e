"""What a prepared data set holds: a table, and one HTML page that opens without a network."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that the script runs from anywhere

from data_prep.page.prepared_data import PreparedDataSet, read_prepared
from data_prep.running.console import program, run_step, say, show_table
from data_prep.running.shards import add_run_options, shard_of
from gcvideo.atomic import write_table, write_text
from gcvideo.paths import user_path

SAMPLE_COLUMNS = (
    *("split", "samples", "videos", "samples a video", "shortest s", "median s", "longest s"),
    *("labels a sample", "most labels", "without label"),
)
PAIRS = "label_pairs.csv"
"""All pairs of classes that a row has both of."""
PAIR_COLUMNS = ("class", "and class", "samples")
NUM_PAIRS = 20
"""Shown of them."""
SUMMARY_COLUMNS = ("split", "listed", "found", "readable", "missing %", "plain %", "hours", "median s", "GB")


def main(argv: Sequence[str] | None = None) -> int:
    """Show the table, write the page, and return 0."""
    arguments = _parser().parse_args(argv)
    if shard_of(arguments).number > 0:
        say("nothing to do: the page is seconds of work, which shard 0 does")
        return 0
    data = read_prepared(
        arguments.manifests, arguments.annotations, arguments.root, num_workers=arguments.workers
    )
    rows = summary(data)
    show_table("splits", ("", *data.videos), list(zip(*(SUMMARY_COLUMNS, *rows), strict=True))[1:])
    samples = sample_summary(data) if data.has_segments or data.has_label_sets else []
    if samples:
        title = "segments and labels"
        show_table(title, ("", *data.videos), list(zip(*(SAMPLE_COLUMNS, *samples), strict=True))[1:])
    if pairs := data.pairs():
        show_table("most frequent pairs of classes", PAIR_COLUMNS, pairs[:NUM_PAIRS])
    if extremes := _extremes(data):
        show_table("largest and smallest classes", ("class", "videos"), extremes)
    page = arguments.output / "stats.html"
    if arguments.dry_run:
        say(f"would write {page}; nothing was written")
        return 0
    from data_prep.page.stats_page import Table, html_page  # here, since it imports a plotting library

    tables = {"Splits": Table(SUMMARY_COLUMNS, rows)}
    if samples:
        tables["Segments and labels"] = Table(SAMPLE_COLUMNS, samples)
    if pairs:
        tables["Classes that occur together"] = Table(PAIR_COLUMNS, pairs[:NUM_PAIRS])
        write_table(arguments.output / PAIRS, PAIR_COLUMNS, pairs)
    write_text(page, html_page(data, tables, title=arguments.title))
    say(f"written to {page}")
    return 0


def summary(data: PreparedDataSet) -> list[tuple[object, ...]]:
    """Return one row a split, of SUMMARY_COLUMNS; what is not known is a dash."""
    rows = []
    for split, videos in data.videos.items():
        listed = data.listed(split)
        seconds = [video.seconds for video in videos]
        rows.append(
            (
                split,
                listed or "-",
                data.found(split) if listed else "-",
                len(videos),
                f"{data.percent_missing(split):.2f}" if listed else "-",
                f"{100 * sum(video.plain for video in videos) / len(videos):.1f}" if videos else "-",
                f"{sum(seconds) / 3600:.2f}",
                f"{median(seconds):.2f}" if seconds else "-",
                f"{data.num_bytes[split] / 1e9:.3f}" if split in data.num_bytes else "-",
            )
        )
    return rows


def sample_summary(data: PreparedDataSet) -> list[tuple[object, ...]]:
    """Return one row a split, of SAMPLE_COLUMNS; what is not known is a dash."""
    rows = []
    for split, samples in data.videos.items():
        seconds = [sample.seconds for sample in samples]
        num_labels = [len(sample.labels) for sample in samples]
        num_videos = len({sample.path for sample in samples})
        lengths = [f"{of(seconds):.2f}" if seconds else "-" for of in (min, median, max)]
        rows.append(
            (
                *(split, len(samples), num_videos),
                f"{len(samples) / num_videos:.2f}" if samples else "-",
                *lengths,
                f"{sum(num_labels) / len(samples):.2f}" if samples else "-",
                max(num_labels, default=0),
                num_labels.count(0),
            )
        )
    return rows


def _extremes(data: PreparedDataSet) -> list[tuple[str, int]]:
    totals = sorted(
        ((name, sizes.total()) for name, sizes in data.class_sizes().items()),
        key=lambda pair: (-pair[1], pair[0]),
    )
    return totals if len(totals) <= 6 else [*totals[:3], *totals[-3:]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program("stats"), description=__doc__)
    parser.add_argument("--manifests", type=user_path, required=True, help="output folder of verify.py")
    parser.add_argument(
        "--annotations", type=user_path, help="output folder of annotations.py, for what is missing"
    )
    parser.add_argument("--root", type=user_path, help="folder of the videos, for their size on the disk")
    parser.add_argument("--output", type=user_path, required=True, help="folder to write stats.html to")
    parser.add_argument("--title", default="Data set", help="heading of the page (default: Data set)")
    add_run_options(parser, num_workers=16, workers_do="files whose size is asked at a time")
    return parser


if __name__ == "__main__":
    run_step(main)
