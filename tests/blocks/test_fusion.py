import pytest
import torch

from gcvideo.blocks import Add, InTurn, Scale
from tests.blocks import equations
from tests.blocks.inputs import POSITIONS, features


def test_add_and_scale_broadcast_a_shared_context_over_every_position():
    for positions in POSITIONS:
        x = features(2, 4, *positions)
        y = features(2, 4, *(1 for _ in positions), seed=1)
        added, scaled, both = Add()(x, y), Scale()(x, y), InTurn(Scale(), Add())(x, (y, 2 * y))
        for b in range(2):
            shared = y[b].flatten()
            for i in range(x[b].flatten(1).shape[1]):
                x_i = x[b].flatten(1)[:, i]
                gated = x_i * equations.sigmoid(shared)
                torch.testing.assert_close(added[b].flatten(1)[:, i], x_i + shared)
                torch.testing.assert_close(scaled[b].flatten(1)[:, i], gated)
                torch.testing.assert_close(both[b].flatten(1)[:, i], gated + 2 * shared)


def test_a_context_for_each_position_meets_that_position():
    x, y = features(1, 2, 3), features(1, 2, 3, seed=1)
    torch.testing.assert_close(Add()(x, y)[0, 1, 2], x[0, 1, 2] + y[0, 1, 2])
    torch.testing.assert_close(Scale()(x, y)[0, 1, 2], x[0, 1, 2] * equations.sigmoid(y[0, 1, 2]))


def test_fusions_without_a_branch_each_are_refused():
    x = features(1, 2, 3)
    with pytest.raises(ValueError, match="shorter"):
        InTurn(Scale(), Add())(x, (x,))
