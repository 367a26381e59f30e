"""The multigrid schedule is the published one, epoch by epoch and batch by batch."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcvideo.data.multigrid import Multigrid, MultigridPlan
from gcvideo.data.sampling import ClipFrames

CLIP = ClipFrames(8, 8)
BATCH = 64
GAMMA = 0.1

COARSE_TO_FINE = [(2, 32, 158, 512), (4, 16, 158, 256), (4, 16, 224, 128), (8, 8, 224, 64)]
"""Frames, largest stride, crop and global batch of each shape of the long cycle."""
STARTS = [0, 73, 110, 142, 158, 205, 228, 248, 259, 291, 308, 322, 329, 343, 358]
"""SOLVER.STEPS that PySlowFast makes of STEPS [0, 94, 154, 196] and MAX_EPOCH 239."""
RATES = [8, 4, 2, 1, 0.8, 0.4, 0.2, 0.1, 0.08, 0.04, 0.02, 0.01, 0.01, 0.001]
"""Its SOLVER.LRS."""


def published() -> MultigridPlan:
    return MultigridPlan(Multigrid(), clip=CLIP, crop_size=224)


def test_the_long_cycle_is_pyslowfasts():
    plan = published()
    assert [*(phase.first_epoch for phase in plan.phases), plan.num_epochs] == STARTS
    assert plan.milestones == [158, 259, 343]
    shapes = COARSE_TO_FINE * 3 + COARSE_TO_FINE[-1:] * 2
    for (first, end), shape, rate in zip(pairwise(STARTS), shapes, RATES, strict=True):
        for epoch in (first, end - 1):
            phase = plan.phase(epoch)
            (frames, shortest, longest, crop), relative = phase.cycle[-1]
            assert (frames, longest, crop, BATCH * relative) == shape
            assert shortest == 8
            assert phase.relative_batch * GAMMA**phase.milestones_passed == pytest.approx(rate)


def test_the_short_cycle_is_the_sampler_of_pyslowfast():
    """Crops of 112, 158 and the shape's own, in batches of 4, 2, 1 at crop 224 and of 2, 1, 1 at crop 158."""
    plan = published()
    for first in STARTS[:4]:
        batches = [plan.batch(first, number) for number in range(7)]
        own = batches[2].shape.crop_size
        assert [batch.shape.crop_size for batch in batches] == [112, 158, own, 112, 158, own, 112]
        factors = [batch.num_clips / plan.phase(first).relative_batch for batch in batches]
        assert factors == {224: [4, 2, 1, 4, 2, 1, 4], 158: [2, 1, 1, 2, 1, 1, 2]}[own]
        assert len({batch.shape._replace(crop_size=0) for batch in batches}) == 1


def test_the_short_cycle_alone_is_pyslowfasts():
    plan = MultigridPlan(Multigrid(long_cycle=()), clip=CLIP, crop_size=224)
    assert [phase.first_epoch for phase in plan.phases] == [0, 141, 231, 294]
    assert (plan.num_epochs, plan.milestones) == (358, [141, 231, 294])
    assert {phase.relative_batch for phase in plan.phases} == {1}


def test_the_long_cycle_alone_has_one_batch_and_the_mean_batches_8_4_2_1():
    plan = MultigridPlan(Multigrid(short_cycle=()), clip=CLIP, crop_size=224)
    lengths = [second - first for first, second in pairwise(phase.first_epoch for phase in plan.phases[:5])]
    # 94 of 239 epochs, scaled to 358.5 in all: fine-tuning saves 15 / 4 and lasts 43 * 4 / 15 epochs.
    total = 94 * 358.5 / (196 + 43 * 4 / 15)
    assert lengths == pytest.approx([total * share / 15 for share in (8, 4, 2, 1)], abs=1)
    assert all(len(phase.cycle) == 1 for phase in plan.phases)


def test_the_iterations_of_kinetics_are_3_4_times_fewer():
    """Of 240,000 clips on 8 processes with a batch of 64: the published 261,864, before rounding."""
    plan, exact, whole = published(), 0.0, 0
    for epoch in range(plan.num_epochs):
        sizes = [batch.num_clips for batch in plan.phase(epoch).cycle]
        exact += 240_000 / BATCH / (sum(sizes) / len(sizes))
        whole += plan.num_batches(epoch, num_clips=240_000 // 8 // 8)
    assert exact == pytest.approx(261_864, abs=1)
    assert whole == 261_582
    assert 239 * 240_000 / BATCH / exact == pytest.approx(3.42, abs=0.005)


@given(
    epochs=st.integers(100, 300),
    shares=st.lists(st.sampled_from([0.2, 0.35, 0.5, 0.65, 0.8]), min_size=1, max_size=3, unique=True),
    short=st.sampled_from([(), (0.5,), (0.5, 0.7071)]),
    epoch=st.integers(0, 400),
    num_clips=st.integers(0, 500),
)
def test_batches_of_an_epoch_follow_one_another_and_are_as_many_as_fit(
    epochs, shares, short, epoch, num_clips
):
    milestones = tuple(sorted(round(share * epochs) for share in shares))
    settings = Multigrid(epochs=epochs, epoch_factor=3.0, milestones=milestones, short_cycle=short)
    plan = MultigridPlan(settings, clip=CLIP, crop_size=224)
    assert plan.phases[0].first_epoch == 0
    taken = batches = 0
    while taken + plan.batch(epoch, batches).num_clips <= num_clips:
        assert plan.first_clip(epoch, batches) == taken
        taken += plan.batch(epoch, batches).num_clips
        batches += 1
    assert plan.num_batches(epoch, num_clips=num_clips) == batches


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"long_cycle": (), "short_cycle": ()}, "neither long_cycle nor short_cycle; leave it out"),
        ({"long_cycle": ((0.5, 1.0),)}, r"ends with \(0.5, 1.0\); expected the full shape"),
        ({"short_cycle": (1.5,)}, "a share that is not in 0..1"),
        ({"milestones": (94, 80)}, "expected 0 < milestones, rising"),
        ({"epochs": 196}, "expected 0 < milestones, rising"),
        ({"milestones": ()}, "long_cycle needs milestones"),
        ({"long_cycle": ((0.01, 1.0), (1.0, 1.0))}, "takes 0.01 of 8 frames, which is none"),
        ({"epochs": 8, "milestones": (2, 4)}, "one would have none; raise epochs or epoch_factor"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        MultigridPlan(Multigrid(**settings), clip=CLIP, crop_size=224)
