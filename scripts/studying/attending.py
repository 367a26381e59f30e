"""Query dependence before and after training: mean and spread over seeds."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gcvideo.attention.pairs import PairMeans

Record = dict[str, Any]
DISTANCES = {
    "input/cosine": "input",
    "output/cosine": "context",
    "attention/cosine": "attention, cosine",
    "attention/jensen_shannon": "attention, JSD",
}


class Dependence(NamedTuple):
    """A distance between positions, by seed, of one kind of pair."""

    data: str
    row: str
    distance: str
    pairs: str
    before: list[float]
    after: list[float]

    def text(self, values: Sequence[float], digits: int = 4) -> str:
        if not values or np.isnan(values).all():
            return "-"
        spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
        return f"{np.mean(values):.{digits}f}{spread}"


def in_networks(records: Sequence[Record], block: str | None = None) -> Iterator[Dependence]:
    """Yield the distances of all runs that were measured, as means over blocks or of one block."""
    yield from _of(
        ((r["data"], r["row"], {when: _means(r["attention"][when], block) for when in r["attention"]}))
        for r in records
        if "attention" in r
    )


def in_control(records: Sequence[Record]) -> Iterator[Dependence]:
    """Yield the distances of the control."""
    yield from _of(
        (r["task"], r["instantiation"], {when: r[when] for when in ("before", "after")}) for r in records
    )


def blocks_of(records: Sequence[Record]) -> list[str]:
    """Return the names of the blocks that were measured."""
    rows = [row for r in records if "attention" in r for row in r["attention"]["after"]]
    return list(dict.fromkeys(row["block"] for row in rows))


def _of(runs: Iterator[tuple[str, str, dict[str, dict[str, dict[str, float]]]]]) -> Iterator[Dependence]:
    found: dict[tuple[str, str, str, str], Dependence] = {}
    for data, row, means in runs:
        for name, distance in DISTANCES.items():
            for pairs in PairMeans._fields:
                key = data, row, distance, pairs
                one = found.setdefault(key, Dependence(*key, [], []))
                for when, values in (("before", one.before), ("after", one.after)):
                    values.append(means[when].get(name, {}).get(pairs, np.nan))
    yield from found.values()


def _means(table: Sequence[Record], block: str | None) -> dict[str, dict[str, float]]:
    """Return the mean over blocks of every distance and kind of pair."""
    values: dict[str, dict[str, list[float]]] = {}
    for row in table:
        if block in (None, row["block"]):
            name = f"{row['measured']}/{row['distance']}"
            values.setdefault(name, {}).setdefault(row["pairs"], []).append(row["mean"])
    return {
        name: {pairs: float(np.mean(means)) for pairs, means in by_pairs.items()}
        for name, by_pairs in values.items()
    }
