"""Plots of a study: accuracies by row and seed, and query dependence before and after training."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from studying.attending import Dependence
from studying.comparisons import RowFigures


def _save(figure: Figure, file: Path) -> None:
    # The same picture of the same figures, to the byte, and its text as text.
    mpl.rcParams |= {"svg.hashsalt": "study", "svg.fonttype": "none"}
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})


def plot_accuracies(rows: Sequence[RowFigures], floors: dict[str, float], file: Path) -> None:
    """Draw a panel for each data set: a dot a seed, a bar at their mean, a line at the floor."""
    sets = list(dict.fromkeys(row.data for row in rows))
    counts = [sum(row.data == data for row in rows) for data in sets]
    figure = Figure(figsize=(7, 0.9 * len(sets) + 0.32 * sum(counts)), layout="constrained")
    panels = figure.subplots(len(sets), 1, height_ratios=[n + 1 for n in counts], squeeze=False)[:, 0]
    for axes, data in zip(panels, sets, strict=True):
        of_set = [row for row in rows if row.data == data]
        for place, row in enumerate(of_set):
            values = [100 * accuracy for accuracy in row.accuracies.values()]
            axes.plot(values, [place] * len(values), "o", color="tab:blue", alpha=0.6, markersize=5)
            axes.plot([100 * row.mean], [place], "|", color="black", markersize=14)
        axes.set_yticks(range(len(of_set)), [row.row for row in of_set])
        axes.set_ylim(len(of_set) - 0.5, -0.5)
        if data in floors:
            axes.axvline(100 * floors[data], color="tab:red", linewidth=0.8, linestyle="--")
        axes.set_title(f"{data}, {of_set[0].num_videos} test videos", loc="left", fontsize=10)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("top-1, %; a dot is a seed")
    _save(figure, file)


def plot_dependence(found: Sequence[Dependence], file: Path, *, title: str) -> None:
    """Draw the cosine distance of attention by kind of pair: a line of panels a set, a panel a network."""
    shown = [one for one in found if one.distance == "attention, cosine" and one.pairs != "all"]
    sets, rows = (list(dict.fromkeys(names)) for names in zip(*((o.data, o.row) for o in shown), strict=True))
    figure = Figure(figsize=(2.1 * len(rows) + 0.6, 2.2 * len(sets) + 0.4), layout="constrained")
    panels = figure.subplots(len(sets), len(rows), sharey=True, squeeze=False)
    for line, data in zip(panels, sets, strict=True):
        line[0].set_ylabel(f"{data}\ncosine distance", fontsize=8)
        for axes, row in zip(line, rows, strict=True):
            _draw_kinds(axes, [one for one in shown if (one.data, one.row) == (data, row)])
            axes.set_title(row, fontsize=8)
    figure.suptitle(f"{title}: attention, grey before, blue after training; a dot is a seed", fontsize=9)
    _save(figure, file)


def _draw_kinds(axes: Axes, kinds: Sequence[Dependence]) -> None:
    for place, one in enumerate(kinds):
        for shift, values, colour in ((-0.18, one.before, "tab:grey"), (0.18, one.after, "tab:blue")):
            axes.bar(place + shift, float(np.mean(values)), 0.34, color=colour)
            axes.plot([place + shift] * len(values), values, "k.", markersize=3)
    axes.set_xticks(range(len(kinds)), [one.pairs.replace("_", "\n") for one in kinds], fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
