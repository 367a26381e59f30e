"""Distances of several clips in one table."""

import math

import pytest

from gcvideo.attention import (
    ClipDistance,
    DistanceTable,
    PairMeans,
    as_in_the_paper,
    as_text,
    notes,
)

NAN = PairMeans(*[math.nan] * 4)
EXACT = PairMeans(0, 0, 0, 0)


def clip(value: float, error: float) -> list[ClipDistance]:
    means = PairMeans(value, value / 2, value / 4, value)
    return [
        ClipDistance("input", "cosine", means, EXACT, None, 0.25),
        ClipDistance("attention", "cosine", means, EXACT, None, 0.0),
        ClipDistance("attention", "jensen_shannon", means, PairMeans(*[error] * 4), 300, 0.0),
    ]


@pytest.fixture
def table() -> DistanceTable:
    table = DistanceTable()
    for value, error in ((0.1, 0.03), (0.3, 0.04)):
        table.add("res3.1", "embedded Gaussian", (8, 4, 4), clip(value, error))
    table.add(
        "res3.3",
        "dot product",
        (8, 4, 4),
        [ClipDistance("attention", "jensen_shannon", NAN, NAN, None, math.nan, "why")],
    )
    return table


def test_clips_are_averaged_and_their_spread_is_theirs(table: DistanceTable) -> None:
    summary = table.summary().set_index(["block", "measured", "distance", "pairs"])
    row = summary.loc[("res3.1", "attention", "jensen_shannon", "all")]
    assert row["mean"] == pytest.approx(0.2)
    assert row["std"] == pytest.approx(math.sqrt(2) / 10)  # of 0.1 and 0.3, over n - 1
    assert row["standard_error"] == pytest.approx(0.05 / 2)  # 0.03 and 0.04 in quadrature, over 2
    assert (row["num_clips"], row["pairs_drawn"]) == (2, 300)
    assert summary.loc[("res3.1", "input", "cosine", "same_place"), "mean"] == pytest.approx(0.05)
    assert math.isnan(summary.loc[("res3.1", "input", "cosine", "all"), "pairs_drawn"])


def test_the_table_is_laid_out_as_the_papers(table: DistanceTable) -> None:
    wide = as_in_the_paper(table.summary(), "mean")
    assert list(wide.columns) == ["block", "context", "pairs", "input", "att.", "JSD att."]
    assert list(wide["pairs"][:4]) == ["all", "same frame", "same place", "neither"]
    assert list(wide["block"]) == ["res3.1"] * 4 + ["res3.3"] * 4
    assert wide["att."][2] == pytest.approx(0.05)
    assert wide["JSD att."][4:].isna().all()


def test_what_a_reader_must_know_is_said(table: DistanceTable) -> None:
    said = "\n".join(notes(table.summary()))
    assert "300 pairs a clip at most; drawing them leaves a standard error of at most 50.0% of a mean" in said
    assert "res3.3: why." in said
    assert "res3.1: input is zero at 25.0% of positions" in said


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.12345, "0.1235"), (0.00012345, "1.2e-04"), (math.nan, "")]
)
def test_distances_are_written_with_the_digits_that_matter(value: float, text: str) -> None:
    assert as_text(value) == text
