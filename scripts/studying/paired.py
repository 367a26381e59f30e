"""Tests of whether two rows differ, over seeds and over videos, and the correction for many comparisons."""

from collections.abc import Sequence
from itertools import product

import numpy as np


def sign_flip_p(differences: Sequence[int]) -> float:
    """Return the two-sided p-value of a paired permutation test on whole-number differences, exactly.

    If two networks are alike, each difference d_i between them has either sign with equal chance. p is the
    share of all 2^n sign patterns in which |sum_i s_i d_i| is at least the one observed. Of differences in
    -1, 0, 1 it is the exact McNemar test (binomial, on the discordant pairs). The distribution of the sum is
    built up one difference at a time, in n times the sum of |d_i| additions.

    Args:
        differences: d_i, of each video the number of seeds that have it right in one row and not the other.
    """
    sizes = [abs(d) for d in differences if d]
    reach = sum(sizes)
    chance = np.zeros(2 * reach + 1)  # of the sums -reach..reach
    chance[reach] = 1.0
    for size in sizes:
        chance = (np.roll(chance, size) + np.roll(chance, -size)) / 2
    observed = abs(sum(differences))
    sums = np.abs(np.arange(-reach, reach + 1))
    return min(float(chance[sums >= observed].sum()), 1.0)


def sign_flip_p_of_few(differences: Sequence[float]) -> float:
    """Return the same of a few differences of any size, from all sign patterns: of n, at least 2 / 2^n."""
    observed = abs(sum(differences)) - 1e-12
    sums = [
        sum(s * d for s, d in zip(signs, differences, strict=True))
        for signs in product((-1, 1), repeat=len(differences))
    ]
    return float(np.mean([abs(total) >= observed for total in sums]))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm, 1979): no more than 5 % of such sets err anywhere."""
    order = np.argsort(p_values, kind="stable")
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - rank)))
        corrected[place] = largest
    return corrected
