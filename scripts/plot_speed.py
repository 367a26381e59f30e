#!/usr/bin/env python3
"""Draw ratios that the benchmarks saved, one panel a comparison.

    python scripts/bench_reading.py --videos FOLDER --save speed.csv
    python scripts/bench_network.py blocks --save speed.csv
    python scripts/plot_speed.py speed.csv speed.svg --panels "training clip" "network, blocks, training"

A bar is how many times as long as the first of its comparison something takes, a whisker the quartiles.
"""

import argparse
import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

INCHES_PER_BAR = 0.3
INCHES_PER_PANEL = 0.75


def main() -> None:
    arguments = _parser().parse_args()
    if not arguments.csv.is_file():
        sys.exit(f"{arguments.csv}: no such file; --save of a benchmark writes one")
    rows = pd.read_csv(arguments.csv).drop_duplicates(["comparison", "what"], keep="last")
    chosen = [name for name in rows["comparison"].unique() if any(part in name for part in arguments.panels)]
    if not chosen:
        sys.exit(
            f"{arguments.csv} has none of {arguments.panels}; it has {sorted(rows['comparison'].unique())}"
        )
    draw({name: rows[rows["comparison"] == name] for name in chosen}, arguments.picture)


def draw(panels: dict[str, pd.DataFrame], file: Path, *, label: str = "times as long as the first") -> None:
    # The same picture of the same figures, to the byte, and its text as text.
    mpl.rcParams |= {"svg.hashsalt": "speed", "svg.fonttype": "none"}
    heights = [INCHES_PER_PANEL + INCHES_PER_BAR * len(rows) for rows in panels.values()]
    figure = Figure(figsize=(9, sum(heights)), layout="constrained")
    every = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, (name, rows) in zip(every, panels.items(), strict=True):
        middle = rows["median"]
        whiskers = [middle - rows["lower"], rows["upper"] - middle]
        colours = ["tab:blue"] + ["tab:grey"] * (len(rows) - 1)
        bars = axes.barh(rows["what"], middle, xerr=whiskers, color=colours, ecolor="black", capsize=2)
        axes.bar_label(bars, [f"{ratio:.2f}" for ratio in middle], padding=6)
        axes.set_title(name, loc="left", fontsize=10)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.margins(x=0.12)
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
    every[-1].set_xlabel(label)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("csv", type=Path, help="what --save of a benchmark wrote")
    parser.add_argument("picture", type=Path, help="SVG or PNG file to write")
    parser.add_argument(
        "--panels", nargs="+", default=[""], help="comparisons whose names contain one of these"
    )
    return parser


if __name__ == "__main__":
    main()
