"""What a report says of records whose answers are known."""

from pathlib import Path
from typing import Any

import pytest
from studying.comparisons import comparisons, figures
from studying.report import write_report

NUM_VIDEOS = 40


def record(row: str, seed: int, wrong: int, *, first: int = 0, digest: str = "same") -> dict[str, Any]:
    """A run that has `wrong` videos wrong, from number `first` on."""
    return {
        "run": f"clips/{row}/seed{seed}",
        "data": "clips",
        "row": row,
        "seed": seed,
        "accuracy": 1 - wrong / NUM_VIDEOS,
        "num_videos": NUM_VIDEOS,
        "videos_digest": digest,
        "wrong": [f"{number}.mp4" for number in range(first, first + wrong)],
        "arguments": {"trainer.precision": "32-true"},
        "machine": "a processor",
        "commit": "0123456789",
        "ended": "2026-01-01 00:00 UTC",
        "seconds": {"fit": 60, "test": 0},
    }


def test_rows_that_have_the_same_videos_wrong_do_not_differ() -> None:
    records = [record(row, seed, 10 + seed) for row in ("bare", "gc5") for seed in range(3)]
    (one,) = comparisons(records, ["bare", "gc5"])
    assert (one.difference, one.p_videos, one.p_seeds, one.differs) == (0.0, 1.0, 1.0, False)


def test_a_row_that_has_many_more_videos_right_differs_and_the_corrected_p_counts_the_comparisons() -> None:
    records = [record("bare", 0, 14), record("gc5", 0, 2), record("nl5", 0, 14)]
    by_pair = {(one.row, one.other): one for one in comparisons(records, ["bare", "gc5", "nl5"])}
    better = by_pair["gc5", "bare"]
    # 12 discordant videos, all of one kind: 2 / 2^12, of three comparisons
    assert better.p_videos == pytest.approx(2 / 2**12)
    assert better.p_corrected == pytest.approx(3 * 2 / 2**12)
    assert better.difference == pytest.approx(0.3)
    assert by_pair["nl5", "bare"].p_corrected == 1.0


def test_runs_that_were_tested_on_different_videos_are_refused() -> None:
    records = [record("bare", 0, 5), record("gc5", 0, 5, digest="other")]
    with pytest.raises(ValueError, match="bare/seed0 and clips/gc5/seed0 were tested on different videos"):
        list(figures(records))


def test_the_page_names_what_is_under_the_floor_what_is_missing_and_what_does_not_differ(
    tmp_path: Path,
) -> None:
    records = [record(row, seed, 10 + 4 * seed) for row in ("bare", "gc5") for seed in range(2)]
    page = tmp_path / "page.md"
    page.write_text("# Words\n\nof a person\n\n<!-- Written by scripts/study.py --report -->\n\nold\n")
    write_report(
        records, [], missing=["clips/nl5/seed0", "clips/nl5/seed1"], page=page,
        floors={"clips": 0.7}, command="python scripts/study.py OUT",
    )  # fmt: skip
    said = page.read_text()
    assert said.startswith("# Words\n\nof a person\n\n<!--")
    assert "\nold\n" not in said
    assert "have **not** been run: 2: clips/nl5 (2)" in said
    assert "| gc5 | 75.0 | 65.0 | 70.0 | 7.1 | 65.0 - 75.0 |" in said
    assert "The floor is 70.0 %: not above it: bare (seed 1), gc5 (seed 1)." in said
    assert "No two rows differ" in said
    assert "1 comparison" in said
    assert (tmp_path / "pictures" / "page_accuracy.svg").is_file()
