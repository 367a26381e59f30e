"""Distances of many clips, gathered into one table."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal, cast

import pandas as pd

from gcvideo.attention.distances import ClipDistance
from gcvideo.attention.pairs import PairMeans

Row = dict[str, str | int | float]

ACROSS = {
    ("input", "cosine"): "input",
    ("output", "cosine"): "output",
    ("added", "cosine"): "added",
    ("attention", "cosine"): "att.",
    ("attention", "jensen_shannon"): "JSD att.",
}


class DistanceTable:
    """One row for every block, vector, distance and kind of pair: mean and spread over the clips added.

    Columns:
        block, context: Its place, and its kind of context.
        num_frames, height, width: The feature map's size.
        measured: input, output, added or attention (see `clip_distances`).
        distance: cosine, or jensen_shannon in nats.
        pairs: all, same_frame, same_place or neither.
        mean, std: Over clips; std is that of the clips (n - 1), not of the mean.
        standard_error: Of the mean, from drawing pairs instead of taking all of them.
        num_clips: How many clips there are.
        pairs_drawn: Pairs of all kinds drawn in each clip; empty where all pairs are in the mean.
        zero_vectors: Share of positions with a zero vector.
        note: Why a value is 0 by construction, or missing.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, block: str, context: str, map_size: tuple[int, ...], found: Sequence[ClipDistance]) -> None:
        """Add the distances inside one block, for one clip."""
        num_frames, height, width = map_size
        for row in found:
            for pairs in PairMeans._fields:
                self.rows.append(
                    {
                        "block": block,
                        "context": context,
                        "num_frames": num_frames,
                        "height": height,
                        "width": width,
                        "measured": row.measured,
                        "distance": row.distance,
                        "pairs": pairs,
                        "value": getattr(row.mean, pairs),
                        "error": getattr(row.standard_error, pairs),
                        "pairs_drawn": math.nan if row.num_pairs is None else row.num_pairs,
                        "zero_vectors": row.zero_vectors,
                        "note": row.note,
                    }
                )

    def summary(self) -> pd.DataFrame:
        """Return the table, averaged over clips."""
        same = ["block", "context", "num_frames", "height", "width", "measured", "distance", "pairs"]
        groups = pd.DataFrame(self.rows).groupby(same, sort=False, dropna=False)
        return groups.agg(
            mean=("value", "mean"),
            std=("value", "std"),
            standard_error=("error", lambda errors: math.hypot(*errors) / len(errors)),
            num_clips=("value", "size"),
            pairs_drawn=("pairs_drawn", "first"),
            zero_vectors=("zero_vectors", "mean"),
            note=("note", "first"),
        ).reset_index()


def as_in_the_paper(summary: pd.DataFrame, column: Literal["mean", "std"]) -> pd.DataFrame:
    """Lay the table out as the paper's table 1: blocks and kinds of pairs down, what is measured across."""
    measured = [ACROSS[key] for key in zip(summary["measured"], summary["distance"], strict=True)]
    wide = summary.assign(measured=measured).set_index(["block", "context", "pairs", "measured"])[column]
    wide = wide.unstack("measured", sort=False).reset_index()
    wide["pairs"] = wide["pairs"].str.replace("_", " ")
    return wide.rename_axis(columns=None)


def as_text(value: float) -> str:
    """Return a distance, with the digits that fit into seven places; nothing if there is none."""
    if math.isnan(value):
        return ""
    return f"{value:.4f}" if value >= 1e-3 else f"{value:.1e}" if value else "0"


def notes(summary: pd.DataFrame) -> list[str]:
    """Return what a reader must know of the figures."""
    said = [
        "Mean distance over pairs of positions. Cosine distance is (1 - cos) / 2; JSD is the Jensen-Shannon "
        "divergence of attention maps in nats. All pairs include i = j, as in the paper; the others do not.",
    ]
    drawn = summary["pairs_drawn"].max()
    if drawn > 0:
        relative = (summary["standard_error"] / summary["mean"]).max()
        said.append(
            f"JSD is over {drawn:.0f} pairs a clip at most; drawing them leaves a standard error of at most "
            f"{relative:.1%} of a mean."
        )
    for note, group in summary[summary["note"] != ""].groupby("note", sort=False):
        said.append(f"{_listed(group['block'])}: {note}.")
    zeros = summary[(summary["zero_vectors"] > 0) & (summary["pairs"] == "all")]
    for key, group in zeros.groupby(["measured", "zero_vectors"], sort=False):
        measured, share = cast("tuple[str, float]", key)
        said.append(
            f"{_listed(group['block'])}: {measured} is zero at {share:.1%} of positions; zero vectors have "
            "distance 0 from each other, 1/2 from others."
        )
    return said


def as_markdown(summary: pd.DataFrame, said: Sequence[str]) -> str:
    """Return the table with the standard deviations over clips, and what must be known of it."""
    means, spreads = as_in_the_paper(summary, "mean"), as_in_the_paper(summary, "std")
    table = means.copy()
    for column in means.columns[3:]:
        table[column] = [
            f"{as_text(mean)} ± {as_text(spread)}" if spread > 0 else as_text(mean)
            for mean, spread in zip(means[column], spreads[column], strict=True)
        ]
    said = [*said, "± is the standard deviation over clips."]
    return table.to_markdown(index=False) + "\n\n" + "\n".join(f"- {note}" for note in said) + "\n"


def _listed(blocks: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(blocks))
