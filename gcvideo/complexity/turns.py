"""Alternatives measured in turns, so that whatever else the machine does meets all of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median, quantiles
from typing import NamedTuple

from gcvideo.complexity.timers import ClockTimer, Timer


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
    timer: Timer | None = None,
) -> dict[str, list[float]]:
    """Return the seconds of one call of every alternative, in each of `rounds` rounds.

    A turn repeats the call for about `seconds_per_turn`; every other round takes the alternatives in the
    opposite order. `track` may show how far the rounds are, and `timer` is the clock unless it is given.
    """
    timer = timer or ClockTimer()
    repeats = {}
    for name, call in alternatives.items():
        timer.seconds(call, 1)  # the first call allocates and compiles
        repeats[name] = max(int(seconds_per_turn / timer.seconds(call, 1)), 1)
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for number in track(range(rounds)):
        for name in list(alternatives)[:: 1 if number % 2 == 0 else -1]:
            seconds[name].append(timer.seconds(alternatives[name], repeats[name]))
    return seconds


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the quartiles of some values; of a single one, itself."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    lower, _, upper = quantiles(values, n=4)
    return Spread(median(values), lower, upper)


def times_faster(theirs: Sequence[float], ours: Sequence[float]) -> Spread:
    """Return how many times as fast ours is, from the ratios of the single rounds."""
    return spread([slow / fast for slow, fast in zip(theirs, ours, strict=True)])
