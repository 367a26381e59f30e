"""Arguments that take a count or a share."""

import pytest
from jsonargparse import ArgumentParser

from gcvideo.cli.run_arguments import read_counts_as_counts


@pytest.mark.parametrize("order", [float | int | None, None | float | int, int | float | None])
def test_a_count_is_a_count_in_whatever_order_the_types_come(order):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--limit", type=order, default=None)
    parser.add_argument("--share", type=float | None, default=None)
    read_counts_as_counts(parser)
    for text, value in {"1": 1, "1.0": 1.0, "0.5": 0.5, "null": None}.items():
        limit = parser.parse_args(["--limit", text]).limit
        assert limit == value
        assert type(limit) is type(value)
    assert type(parser.parse_args(["--share", "1"]).share) is float
