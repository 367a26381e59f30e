"""The estimate, beside a loop over every batch as Lightning's own conditions have it."""

import math

import pytest

from gcvideo.training.time_left import Plan, TimeLeft

BATCH, VALIDATION = 2.0, 7.0


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def validated(plan: Plan, batch: int) -> bool:
    """Whether Lightning validates after this batch, counted from 0 over all epochs."""
    if plan.epoch_ends:
        number = plan.epoch_ends.index(batch + 1) + 1 if batch + 1 in plan.epoch_ends else 1
        return number % plan.epochs_between_validations == 0
    epoch, in_epoch = divmod(batch, plan.batches_of_epoch)
    every = plan.batches_between_validations
    if plan.epochs_between_validations is None:
        return (batch + 1) % every == 0
    return (epoch + 1) % plan.epochs_between_validations == 0 and (in_epoch + 1) % every == 0


PLANS = [
    Plan(5, 20, 5, 1, 3),
    Plan(5, 20, 5, 3, 3),
    Plan(6, 24, 2, 2, 3),  # several validations an epoch
    Plan(7, 28, 3, 1, 3),  # 7 = 3 + 3 + 1
    Plan(5, 20, 8, None, 3),  # counted on from epoch to epoch
    Plan(5, 13, 5, 1, 3),  # max_steps within an epoch
    Plan(5, 20, math.inf, 1, 0),  # no validation
    Plan(3, 22, 3, 2, 3, (3, 6, 14, 22)),  # epochs of 3 and of 8 batches
]


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("begins_at", [0, 4, 11])
def test_the_time_left_is_that_of_the_batches_and_validations_to_come(plan, begins_at):
    took = [BATCH + VALIDATION * validated(plan, batch) for batch in range(plan.batches)]
    clock = Clock()
    left = TimeLeft(plan, now=clock)
    assert left.seconds is None
    seen = False
    for batch in range(begins_at, plan.batches):
        clock.seconds += BATCH
        left.after_batch(batch + 1)
        if validated(plan, batch):
            clock.seconds += VALIDATION
            left.after_validation()
            seen = True
        if seen or plan.batches_of_validation == 0:
            assert left.seconds == pytest.approx(sum(took[batch + 1 :]))
    assert left.seconds == 0


def test_until_a_validation_was_timed_its_batches_count_as_those_of_training():
    clock = Clock()
    left = TimeLeft(Plan(5, 20, 5, 1, 3), now=clock)
    clock.seconds += BATCH
    left.after_batch(1)
    assert left.seconds == pytest.approx(19 * BATCH + 4 * 3 * BATCH)


def test_the_first_batch_counts_only_while_it_is_the_only_one():
    clock = Clock()
    left = TimeLeft(Plan(5, 20, math.inf, 1, 0), now=clock)
    clock.seconds += 60
    left.after_batch(1)
    assert left.seconds == pytest.approx(19 * 60)
    clock.seconds += BATCH
    left.after_batch(2)
    assert left.seconds == pytest.approx(18 * BATCH)


def test_time_goes_by_between_batches_and_never_below_nothing():
    clock = Clock()
    left = TimeLeft(Plan(5, 20, math.inf, 1, 0), now=clock)
    clock.seconds += BATCH
    left.after_batch(1)
    clock.seconds += 30
    assert left.seconds == pytest.approx(8)
    clock.seconds += 30
    assert left.seconds == 0


def test_nothing_is_known_of_a_fit_without_an_end():
    left = TimeLeft(None)
    left.after_batch(1)
    assert left.seconds is None
