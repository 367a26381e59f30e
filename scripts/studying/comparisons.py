"""What the records of a study say: of each row mean and spread, and of rows in pairs whether they differ."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from studying.paired import holm, sign_flip_p, sign_flip_p_of_few

Record = dict[str, Any]
SURE = 0.05


class RowFigures(NamedTuple):
    """The runs of a row on a data set."""

    data: str
    row: str
    accuracies: dict[int, float]
    """By seed."""
    num_videos: int

    @property
    def mean(self) -> float:
        return float(np.mean(list(self.accuracies.values())))

    @property
    def sd(self) -> float:
        """Standard deviation over seeds (n - 1); nan of one seed."""
        return float(np.std(list(self.accuracies.values()), ddof=1)) if len(self.accuracies) > 1 else np.nan

    @property
    def range(self) -> tuple[float, float]:
        return min(self.accuracies.values()), max(self.accuracies.values())


class Comparison(NamedTuple):
    """Two rows on the same test videos, over the seeds that both have."""

    data: str
    row: str
    other: str
    seeds: tuple[int, ...]
    difference: float
    """Mean accuracy of the row less that of the other."""
    p_seeds: float
    """Of the permutation of seeds: with n of them it is 2 / 2^n at least."""
    p_videos: float
    """Of the permutation of videos, of which each counts with the seeds that have it right."""
    p_corrected: float = np.nan
    """p_videos, corrected for all comparisons of the data set (Holm)."""

    @property
    def differs(self) -> bool:
        return self.p_corrected < SURE


def figures(records: Sequence[Record]) -> Iterator[RowFigures]:
    """Yield the rows of every data set, in the order in which they are found.

    Raises:
        ValueError: Runs of a data set were tested on different videos.
    """
    grouped: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        grouped.setdefault((record["data"], record["row"]), []).append(record)
    for data in {data for data, _ in grouped}:
        digests = {record["videos_digest"]: record["run"] for record in records if record["data"] == data}
        if len(digests) > 1:
            raise ValueError(f"{' and '.join(digests.values())} were tested on different videos")
    for (data, row), runs in grouped.items():
        by_seed = {run["seed"]: run["accuracy"] for run in sorted(runs, key=lambda run: run["seed"])}
        yield RowFigures(data, row, by_seed, runs[0]["num_videos"])


def comparisons(records: Sequence[Record], rows: Sequence[str]) -> list[Comparison]:
    """Return all pairs of rows of one data set, corrected for their number."""
    runs: Mapping[tuple[str, int], Record] = {(record["row"], record["seed"]): record for record in records}
    found = []
    for other, row in combinations(rows, 2):
        seeds = tuple(sorted({s for r, s in runs if r == row} & {s for r, s in runs if r == other}))
        if not seeds:
            continue
        pairs = [(runs[row, seed], runs[other, seed]) for seed in seeds]
        by_seed = [one["accuracy"] - two["accuracy"] for one, two in pairs]
        p_videos = sign_flip_p(list(_by_video(pairs).values()))
        found.append(
            Comparison(
                pairs[0][0]["data"], row, other, seeds, float(np.mean(by_seed)),
                sign_flip_p_of_few(by_seed), p_videos,
            )
        )  # fmt: skip
    corrected = holm([one.p_videos for one in found])
    return [one._replace(p_corrected=p) for one, p in zip(found, corrected, strict=True)]


def _by_video(pairs: Sequence[tuple[Record, Record]]) -> dict[str, int]:
    """Return for each video in how many more seeds the first has it right than the second; 0 is left out."""
    more: dict[str, int] = {}
    for first, second in pairs:
        for video in second["wrong"]:
            more[video] = more.get(video, 0) + 1
        for video in first["wrong"]:
            more[video] = more.get(video, 0) - 1
    return more
