import logging
import math

import pytest
import torch

from gcvideo.training import Constant, CosineAfterWarmup, HalfCosine, LinearDecay, OneCycle, StepDecay

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


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("max_epochs", "warmup_epochs", "end_rate"), [(200.0, 30.0, 1e-6), (20.5, 2.5, 0.02)]
)
def test_cosines_with_an_end_rate_are_pyslowfasts(after, max_epochs, warmup_epochs, end_rate):
    """lr_func_cosine of slowfast/utils/lr_policy.py, with COSINE_AFTER_WARMUP and without."""
    base, warmup_start = 0.1, 0.01

    def cosine(epoch):
        offset = warmup_epochs if after else 0.0
        turned = math.cos(math.pi * (epoch - offset) / (max_epochs - offset)) + 1.0
        return end_rate + (base - end_rate) * turned * 0.5

    kind = CosineAfterWarmup if after else HalfCosine
    schedule = kind(warmup_epochs=warmup_epochs, warmup_start=warmup_start / base, end=end_rate / base)
    for step in range(int(max_epochs * STEPS_PER_EPOCH)):
        epoch = step / STEPS_PER_EPOCH
        expected = pyslowfast_rate(epoch, cosine, warmup_epochs=warmup_epochs, warmup_start=warmup_start)
        assert base * schedule(epoch, max_epochs) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("warm_up", [{"warmup_epochs": 2.0}, {"warmup_steps": 100}])
def test_a_line_and_a_constant_are_torchs_behind_its_warm_up_in_epochs_or_steps(warm_up):
    steps = 10 * STEPS_PER_EPOCH
    optimizer = torch.optim.SGD([torch.zeros((), requires_grad=True)], lr=1.0)
    line = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, 1.0, total_iters=100),
            torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.2, total_iters=steps - 100),
        ],
        [100],
    )
    down, level = (
        kind.settled(steps_per_epoch=STEPS_PER_EPOCH, max_epochs=10.0)
        for kind in (LinearDecay(end=0.2, **warm_up), Constant(**warm_up))
    )
    for step in range(steps):
        epoch, (expected,) = step / STEPS_PER_EPOCH, line.get_last_lr()
        assert down(epoch, 10.0) == pytest.approx(expected, rel=1e-9)
        assert level(epoch, 10.0) == pytest.approx(expected if step < 100 else 1.0, rel=1e-9)
        optimizer.step()
        line.step()


def test_one_cycle_has_the_rates_of_torchs_to_within_a_step():
    steps = 20_000
    optimizer = torch.optim.SGD([torch.zeros((), requires_grad=True)], lr=1.0, momentum=0.9)
    torchs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2.0, total_steps=steps)
    schedule, apart = OneCycle(), 0.0
    for step in range(steps):
        apart = max(apart, abs(2.0 * schedule(10 * step / steps, 10.0) - optimizer.param_groups[0]["lr"]))
        optimizer.step()
        torchs.step()
    assert apart < 2 * math.pi / (0.3 * steps)


def test_a_warm_up_longer_than_the_run_is_said_and_rises_to_its_end(caplog):
    for schedule in (CosineAfterWarmup(warmup_steps=400), LinearDecay(warmup_steps=400)):
        with caplog.at_level(logging.WARNING, logger="gcvideo"):
            short = schedule.settled(steps_per_epoch=100, max_epochs=4.0)
        assert "the warm-up takes 4 epochs and the run 4: the rate never reaches" in caplog.text
        assert [short(epoch, 4.0) for epoch in (0.0, 2.0, 4.0)] == pytest.approx([0.1, 0.55, 1.0])
        caplog.clear()


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (HalfCosine, {"warmup_epochs": -1.0}, "warmup_epochs is -1; expected 0 or more"),
        (LinearDecay, {"end": -0.1}, "end is -0.1; expected 0 or more"),
        (
            Constant,
            {"warmup_epochs": 2.0, "warmup_steps": 3},
            "warmup_epochs is 2 and warmup_steps 3; give one",
        ),
        (OneCycle, {"rise": 1.0}, "rise is 1; expected a share of the run"),
    ],
)
def test_settings_that_make_no_schedule_are_refused(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind(**settings)


def test_a_warm_up_in_steps_is_refused_where_epochs_have_no_one_number_of_them():
    with pytest.raises(ValueError, match="warmup_steps is 5, and the epochs of this run have no one number"):
        StepDecay(warmup_steps=5)(0.0, 10.0)
