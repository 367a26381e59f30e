"""The mean Jensen-Shannon divergence over pairs of positions, from a sample of pairs."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gcvideo.attention.pairs import (
    NUMBERS_AT_A_TIME,
    PAIR_KINDS,
    Grid,
    PairMeans,
    Pairs,
    Vectors,
    draw_pairs,
)


class Divergence(NamedTuple):
    """The mean divergence of pairs of positions, and how sure it is."""

    mean: PairMeans
    standard_error: PairMeans
    """Of the sampling alone; 0 where every pair was taken."""
    num_pairs: int
    """How many pairs were looked at."""


def jensen_shannon(p: Float[Tensor, "n D"], q: Float[Tensor, "n D"]) -> Float64[Tensor, " n"]:
    """Return the Jensen-Shannon divergence of each pair of rows, in nats: 0..log 2.

    1/2 sum_k p_k log(p_k / m_k) + q_k log(q_k / m_k), m = (p + q) / 2.

    Rows are probabilities; the paper's (arXiv:1904.11492, section 3.2) writes 2 p_k / (p_k + q_k).
    """
    p, q = p.double(), q.double()
    m = ((p + q) / 2).clamp_min(torch.finfo(torch.float64).tiny)  # where both are 0, so is the term
    return (torch.xlogy(p, p / m) + torch.xlogy(q, q / m)).sum(dim=1).clamp_min(0) / 2


def jensen_shannon_distance(
    vectors: Vectors, grid: Grid, *, num_pairs: int, generator: torch.Generator
) -> Divergence:
    """Return the mean divergence over `num_pairs` pairs of each kind, or all if there are no more.

    All pairs would take O(N² D). The kinds are strata: the mean over all pairs weighs theirs by how many
    pairs each has, i = j (divergence 0) included, and its standard error is theirs added in quadrature.
    """
    if num_pairs < 2:
        raise ValueError(f"{num_pairs} pairs of each kind; a standard error needs at least 2")
    means, errors, looked_at = [], [], 0
    for kind in PAIR_KINDS:
        pairs = draw_pairs(grid, kind, num_pairs=num_pairs, generator=generator)
        looked_at += len(pairs.first)
        mean, error = _mean_divergence(vectors, pairs)
        means.append(mean)
        errors.append(error)
    share = [2 * grid.num_pairs(kind) / grid.num_positions**2 for kind in PAIR_KINDS]
    parts = [(w, mean, error) for w, mean, error in zip(share, means, errors, strict=True) if w]
    return Divergence(
        PairMeans(sum(w * mean for w, mean, _ in parts), *means),
        PairMeans(math.hypot(*(w * error for w, _, error in parts)), *errors),
        looked_at,
    )


def _mean_divergence(vectors: Vectors, pairs: Pairs) -> tuple[float, float]:
    """Return the mean over `pairs` and its standard error."""
    if not len(pairs.first):
        return math.nan, math.nan
    size = max(NUMBERS_AT_A_TIME // vectors.size, 1)
    values = torch.cat(
        [
            jensen_shannon(vectors.at(first), vectors.at(second))
            for first, second in zip(pairs.first.split(size), pairs.second.split(size), strict=True)
        ]
    )
    error = 0.0 if pairs.complete else values.std().item() / math.sqrt(len(values))
    return values.mean().item(), error
