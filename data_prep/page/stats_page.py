"""The page of stats.py: tables and plots in one file, the plotting library in it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from data_prep.page.prepared_data import PreparedDataSet

QUIET, GRID = "#808894", "rgba(128, 136, 148, 0.25)"
"""Colours that can be read on a light and on a dark page."""


class Table(NamedTuple):
    """A table of the page; numbers and numerals stand to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def html_page(data: PreparedDataSet, tables: Mapping[str, Table], *, title: str) -> str:
    """Return the page, with tables by what stands above them; the same for the same data."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("stats.html.j2").render(
        title=title,
        plotly=Markup(get_plotlyjs()),
        tables=tables,
        plots={name: _drawn(figure, name) for name, figure in figures(data)},
        bad=Table(("path", "list", "reason"), [(r["path"], r["list"], r["reason"]) for r in data.bad]),
        classes=_class_table(data),
    )


def figures(data: PreparedDataSet) -> Iterator[tuple[str, go.Figure]]:
    """Yield every plot and what stands above it."""
    videos = data.files()
    totals = {name: sizes.total() for name, sizes in data.class_sizes().items()}
    if totals:
        yield "Videos per class, largest first", _ranking(totals)
    yield "Duration", _histogram([video.video_seconds for video in videos], unit="seconds")
    samples = [sample for of_split in data.videos.values() for sample in of_split]
    if data.has_segments:
        lengths = [sample.seconds for sample in samples if sample.segment is not None]
        yield "Length of segments", _histogram(lengths, unit="seconds", of="segments")
    if data.has_label_sets:
        counts = Counter(len(sample.labels) for sample in samples)
        numbers = {f"{number} labels": counts[number] for number in sorted(counts)}
        yield "Labels of a sample", _bars(numbers, unit="samples")
    yield "Frames per second", _most_common([f"{video.fps:.4g}" for video in videos])
    yield "Resolution", _most_common([f"{video.width}x{video.height}" for video in videos])
    yield "Codec", _most_common([video.codec for video in videos])
    missing = {split: data.percent_missing(split) for split in data.videos if data.listed(split)}
    if missing:
        yield "Missing, of the official list", _bars(missing, unit="%")


def _ranking(totals: dict[str, int]) -> go.Figure:
    """Plot one bar a class, whose name is seen when it is pointed at."""
    names = sorted(totals, key=lambda name: (-totals[name], name))
    figure = go.Figure()
    figure.add_bar(
        y=[totals[name] for name in names],
        customdata=names,
        hovertemplate="%{customdata}: %{y:,}<extra></extra>",
    )
    return figure.update_layout(xaxis={"title": "classes", "showticklabels": False}, yaxis_title="videos")


def _histogram(values: Sequence[float], *, unit: str, of: str = "videos", num_bins: int = 20) -> go.Figure:
    """Plot how many values lie in each of equally wide bins, from 0 to the 99.5th percentile.

    The last bin also counts everything above it, lest one long video flatten the rest.
    """
    largest = max(values, default=1.0)
    last = float(np.percentile(values, 99.5, method="higher")) if values else largest
    counts, edges = np.histogram(np.minimum(values, last), bins=num_bins, range=(0, last))
    names = [f"{low:.4g} to {high:.4g} {unit}" for low, high in pairwise(edges)]
    names[-1] = f"{edges[-2]:.4g} to {largest:.4g} {unit}"
    figure = go.Figure()
    figure.add_bar(
        x=((edges[:-1] + edges[1:]) / 2).tolist(),
        y=counts.tolist(),
        width=float(edges[1] - edges[0]),
        customdata=names,
        hovertemplate="%{customdata}: %{y:,}<extra></extra>",
    )
    return figure.update_layout(xaxis_title=unit, yaxis_title=of)


def _most_common(values: Sequence[str], *, num_shown: int = 7) -> go.Figure:
    """Plot the most frequent values, and the rest as one bar."""
    counts = Counter(values).most_common()
    shown = dict(counts[:num_shown])
    rest = sum(count for _, count in counts[num_shown:])
    return _bars(shown | ({"other": rest} if rest else {}), unit="videos")


def _bars(values: Mapping[str, float], *, unit: str) -> go.Figure:
    """Plot one horizontal bar a name, from above."""
    figure = go.Figure()
    figure.add_bar(
        x=list(values.values()),
        y=list(values),
        orientation="h",
        width=0.7 * min(1.0, len(values) / 3),
        text=[f"{value:,}" if isinstance(value, int) else f"{value:.2f}" for value in values.values()],
        hovertemplate=f"%{{y}}: %{{text}} {unit}<extra></extra>",
    )
    return figure.update_layout(
        xaxis_title=unit, yaxis={"type": "category", "autorange": "reversed", "automargin": True}
    )


def _drawn(figure: go.Figure, name: str) -> Markup:
    """Return a figure that follows the width of the page."""
    figure.update_layout(
        template="none",
        height=280,
        margin={"l": 60, "r": 16, "t": 8, "b": 48},
        bargap=0.05,
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        colorway=["#3f83c4"],
        font={"family": "system-ui, sans-serif", "size": 12, "color": QUIET},
    )
    figure.update_xaxes(gridcolor=GRID, zerolinecolor=GRID, fixedrange=True)
    figure.update_yaxes(gridcolor=GRID, zerolinecolor=GRID, fixedrange=True)
    return Markup(
        figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id="plot-" + "".join(letter for letter in name.lower() if letter.isalpha()),
            config={"responsive": True, "displayModeBar": False},
        )
    )


def _class_table(data: PreparedDataSet) -> Table:
    splits = list(data.videos)
    rows = []
    for label, (name, sizes) in enumerate(data.class_sizes().items()):
        listed = sum(data.official[name, s].listed for s in splits if (name, s) in data.official)
        missing = f"{100 * (1 - sizes.total() / listed):.1f}" if listed else "-"
        rows.append((label, name, *(sizes[split] for split in splits), missing))
    return Table(("label", "class", *splits, "missing %"), rows)
