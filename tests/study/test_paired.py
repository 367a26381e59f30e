"""Paired tests against SciPy's and against every sign pattern, one by one."""

from itertools import product

import pytest
from scipy.stats import binomtest, permutation_test
from studying.paired import holm, sign_flip_p, sign_flip_p_of_few


@pytest.mark.parametrize(("gained", "lost", "same"), [(7, 1, 20), (3, 3, 5), (0, 6, 0), (12, 5, 57)])
def test_with_one_seed_it_is_the_exact_mcnemar_test(gained: int, lost: int, same: int) -> None:
    expected = binomtest(gained, gained + lost).pvalue
    assert sign_flip_p([1] * gained + [-1] * lost + [0] * same) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("differences", [[3, -1, 2, 0, 1, 1], [2, 2, 2], [-3, 1, 1, 1], [5]])
def test_with_several_seeds_it_counts_the_sign_patterns_that_are_as_far_off(differences: list[int]) -> None:
    patterns = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((-1, 1), repeat=len(differences))
    ]
    expected = sum(total >= abs(sum(differences)) for total in patterns) / len(patterns)
    assert sign_flip_p(differences) == pytest.approx(expected)
    assert sign_flip_p_of_few(differences) == pytest.approx(expected)


def test_over_seeds_it_is_scipys_paired_permutation_test() -> None:
    one, two = [0.76, 0.80, 0.71, 0.78], [0.70, 0.74, 0.73, 0.72]
    expected = permutation_test(
        (one, two), lambda a, b: sum(a) - sum(b), permutation_type="samples", vectorized=False
    )
    differences = [a - b for a, b in zip(one, two, strict=True)]
    assert sign_flip_p_of_few(differences) == pytest.approx(expected.pvalue)


def test_nothing_that_differs_has_p_1_and_three_seeds_never_less_than_a_quarter() -> None:
    assert sign_flip_p([0, 0, 0]) == 1.0
    assert sign_flip_p_of_few([0.1, 0.2, 0.05]) == 0.25


def test_holm_multiplies_by_the_number_of_those_that_are_left() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
