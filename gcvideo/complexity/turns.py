"""Alternatives measured in turns, so that whatever else the machine does meets all of them."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median, quantiles
from typing import NamedTuple

import torch


class Spread(NamedTuple):
    """Median and quartiles of one figure over the rounds."""

    median: float
    lower: float
    upper: float


def in_turns(
    alternatives: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    seconds_per_turn: float = 0.3,
    track: Callable[[range], Iterable[int]] = iter,
) -> dict[str, list[float]]:
    """Return the seconds of one call of every alternative, in each of `rounds` rounds.

    A turn repeats the call for about `seconds_per_turn`; every other round takes the alternatives in the
    opposite order. `track` may show how far the rounds are.
    """
    repeats = {}
    for name, call in alternatives.items():
        timed(call, 1)  # the first call allocates and compiles
        repeats[name] = max(int(seconds_per_turn / timed(call, 1)), 1)
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for number in track(range(rounds)):
        for name in list(alternatives)[:: 1 if number % 2 == 0 else -1]:
            seconds[name].append(timed(alternatives[name], repeats[name]))
    return seconds


def timed(call: Callable[[], object], repeats: int) -> float:
    """Return the seconds of one call, the mean of `repeats`.

    torch's Timer is not used: it calls twice more each time it is asked.
    """
    _wait_for_gpu()
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    _wait_for_gpu()
    return (time.perf_counter() - began) / repeats


def _wait_for_gpu() -> None:
    """Wait for the kernels that were launched, where there are any."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the quartiles of some values; of a single one, itself."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    lower, _, upper = quantiles(values, n=4)
    return Spread(median(values), lower, upper)


def times_faster(theirs: Sequence[float], ours: Sequence[float]) -> Spread:
    """Return how many times as fast ours is, from the ratios of the single rounds."""
    return spread([slow / fast for slow, fast in zip(theirs, ours, strict=True)])
