"""Distances as pictures: one of every block, and one of the whole network."""

import math
from pathlib import Path
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcvideo.atomic import replacing
from gcvideo.attention.distances import ONE_MAP
from gcvideo.attention.table import ACROSS

# Okabe and Ito's colours, which colour-blind readers tell apart.
PAIR_STYLES = {
    "all": ("black", "D", "all pairs"),
    "same_frame": ("#0072B2", "o", "same frame"),
    "same_place": ("#D55E00", "s", "same place"),
    "neither": ("#009E73", "^", "neither"),
}
MEASURED_STYLES = {
    "input": ("#999999", "input $x_i$"),
    "output": ("#0072B2", "output $y_i$"),
    "added": ("#56B4E9", "added $z_i - x_i$"),
    "att.": ("#D55E00", "attention $a_i$"),
    "JSD att.": ("#CC79A7", "attention, JSD (nats)"),
}


def plot_block(summary: pd.DataFrame, block: str, file: Path) -> None:
    """Plot what is measured in one block, down, and the distance of each kind of pair, across.

    Of a block with one attention map for all queries that is the input alone.
    """
    rows = _with_column(_rows(summary, summary["block"] == block))
    rows = _rows(rows, rows["note"] != ONE_MAP)
    # What was measured, one row each.
    measured = set(rows["column"][rows["mean"].notna()])
    shown = [name for name in MEASURED_STYLES if name in measured]
    figure = Figure(figsize=(7.2, 0.75 * len(shown) + 1.6), layout="constrained")
    axes = figure.subplots()
    offsets = (-0.24, -0.08, 0.08, 0.24)
    for offset, (pairs, (colour, marker, label)) in zip(offsets, PAIR_STYLES.items(), strict=True):
        found = _rows(rows, rows["pairs"] == pairs).set_index("column").reindex(shown)
        axes.errorbar(
            found["mean"],
            [index + offset for index in range(len(shown))],
            xerr=_spread(found),
            fmt=marker,
            color=colour,
            label=label,
            markersize=5,
            linewidth=1,
            clip_on=False,
        )
    # Labels, scale and title.
    axes.set_yticks(range(len(shown)), [MEASURED_STYLES[name][1] for name in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    _scale(axes, "x", rows)
    axes.set_xlabel("mean distance over pairs of positions, ± std over clips")
    first = rows.iloc[0]
    size = f"{first['num_frames']} x {first['height']} x {first['width']} positions"
    shared = "" if "att." in shown else f"\n{ONE_MAP}: no distance behind the input"
    axes.set_title(f"{block}: {first['context']}, {size}{shared}", fontsize=11)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    with replacing(file) as unfinished:
        figure.savefig(unfinished, format="png", dpi=150)


def plot_network(summary: pd.DataFrame, file: Path) -> None:
    """Plot what is measured, over all pairs, from block to block; beside it, attention by kind of pair."""
    rows = _with_column(summary)
    blocks = list(dict.fromkeys(rows["block"]))
    figure = Figure(figsize=(min(max(9.0, 0.9 * len(blocks) + 3), 14), 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for name, (colour, label) in MEASURED_STYLES.items():
        found = _rows(rows, (rows["column"] == name) & (rows["pairs"] == "all"))
        _line(left, blocks, found, color=colour, label=label, marker="o")
    for pairs, (colour, marker, label) in PAIR_STYLES.items():
        found = _rows(rows, (rows["column"] == "att.") & (rows["pairs"] == pairs))
        _line(right, blocks, found, color=colour, label=label, marker=marker)
    left.set_title("all pairs of positions", fontsize=11)
    right.set_title("attention $a_i$, by what a pair shares", fontsize=11)
    left.set_ylabel("mean distance")
    _scale(left, "y", _rows(rows, (rows["pairs"] == "all") | (rows["column"] == "att.")))
    right.grid(axis="y", alpha=0.3)
    for axes in (left, right):
        axes.tick_params("x", rotation=45 if len(blocks) > 6 else 0)
        axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.13))
    with replacing(file) as unfinished:
        figure.savefig(unfinished, format="png", dpi=150)


def _line(axes: Axes, blocks: list[str], found: pd.DataFrame, *, color: str, label: str, marker: str) -> None:
    """Draw one line from block to block; none if nothing was measured."""
    found = found.set_index("block").reindex(blocks)
    if found["mean"].notna().any():
        axes.plot(blocks, found["mean"], color=color, label=label, marker=marker, clip_on=False)


def _spread(found: pd.DataFrame) -> list[pd.Series]:
    """Return the spread below and above the mean; no distance is below 0."""
    above = found["std"].fillna(0)
    return [above.clip(upper=found["mean"]), above]


def _rows(table: pd.DataFrame, chosen: pd.Series) -> pd.DataFrame:
    return table.loc[chosen]


def _with_column(summary: pd.DataFrame) -> pd.DataFrame:
    keys = zip(summary["measured"], summary["distance"], strict=True)
    return summary.assign(column=[ACROSS[key] for key in keys])


def _scale(axes: Axes, axis: Literal["x", "y"], rows: pd.DataFrame) -> None:
    """Scale by decades if distances span more than one, with a linear rest below them for zero."""
    positive = rows["mean"].to_numpy()
    positive = positive[positive > 0]
    if not len(positive):
        return
    if positive.min() < positive.max() / 20:
        threshold = 10.0 ** math.floor(math.log10(max(positive.min(), 1e-10)))
        set_scale = {"x": axes.set_xscale, "y": axes.set_yscale}[axis]
        set_scale("symlog", linthresh=threshold, linscale=0.5)
    top = (rows["mean"] + rows["std"].fillna(0)).max()
    axes.set(**{f"{axis}lim": (0, 1.2 * top)})
    axes.grid(axis=axis, alpha=0.3)
