import math

import pytest

from gcvideo.training import HalfCosine, StepDecay

STEPS_PER_EPOCH = 50


def pyslowfast_rate(epoch, policy, *, warmup_epochs, warmup_start):
    """PySlowFast's rate: its policy, and before warmup_epochs a line up to the policy's value there."""
    if epoch >= warmup_epochs:
        return policy(epoch)
    slope = (policy(warmup_epochs) - warmup_start) / warmup_epochs
    return epoch * slope + warmup_start


@pytest.mark.parametrize(("max_epochs", "warmup_epochs"), [(196.0, 34.0), (196.0, 0.0), (20.5, 2.5)])
def test_half_cosine_is_pyslowfasts_cosine_with_warm_up(max_epochs, warmup_epochs):
    base, warmup_start = 0.1, 0.01

    def cosine(epoch):
        return base * (math.cos(math.pi * epoch / max_epochs) + 1.0) * 0.5

    schedule = HalfCosine(warmup_epochs=warmup_epochs, warmup_start=warmup_start / base)
    for step in range(int(max_epochs * STEPS_PER_EPOCH)):
        epoch = step / STEPS_PER_EPOCH
        expected = pyslowfast_rate(epoch, cosine, warmup_epochs=warmup_epochs, warmup_start=warmup_start)
        assert base * schedule(epoch, max_epochs) == pytest.approx(expected, abs=1e-12)


def test_half_cosine_begins_at_the_peak_halves_in_the_middle_and_ends_at_zero():
    schedule = HalfCosine()
    assert [schedule(epoch, 100.0) for epoch in (0.0, 50.0, 100.0)] == pytest.approx([1.0, 0.5, 0.0])


def test_the_published_warm_up_begins_at_a_tenth_and_joins_the_cosine_without_a_step():
    schedule = HalfCosine(warmup_epochs=34.0, warmup_start=0.1)
    assert schedule(0.0, 196.0) == pytest.approx(0.1)
    assert schedule(34 - 1e-9, 196.0) == pytest.approx(schedule(34.0, 196.0))
    assert schedule(17.0, 196.0) == pytest.approx((0.1 + schedule(34.0, 196.0)) / 2)


def test_step_decay_is_a_tenth_from_each_milestone_on():
    schedule = StepDecay(milestones=(90.0, 130.0), gamma=0.1, warmup_epochs=10.0, warmup_start=0.1)
    epochs = [0.0, 5.0, 10.0, 89.99, 90.0, 129.99, 130.0, 149.99]
    expected = [0.1, 0.55, 1, 1, 0.1, 0.1, 0.01, 0.01]
    assert [schedule(epoch, 150.0) for epoch in epochs] == pytest.approx(expected)
