import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler

from gcvideo.backbones import Placement, VideoResNet
from gcvideo.blocks import GlobalContextBlock, NonLocalBlock
from gcvideo.training.counted_schedule import CountedSchedule
from gcvideo.training.optimisation import parameter_groups
from gcvideo.training.optimizer_state import keep_state_by_name, state_per_weight


def test_no_decay_falls_on_exactly_the_parameters_of_norms():
    network = VideoResNet(
        5, width=0.125, block=GlobalContextBlock, placement=Placement(res4="all", position="after_1x1x1")
    )
    decayed, undecayed = parameter_groups(network)
    names = {id(parameter): name for name, parameter in network.named_parameters()}

    def named(group):
        assert all(names[id(parameter)] == name for name, parameter in group["params"])
        return {name for name, _ in group["params"]}

    assert ("weight_decay" in decayed, undecayed["weight_decay"]) == (False, 0.0)
    # Every norm of this network, and nothing else, has "norm" in its name.
    norms = {name for name in names.values() if "norm" in name}
    assert any(".context." in name for name in norms)
    assert len(norms) == 2 * (1 + 4 + 3 * 16 + 6)  # stem, projections, three a block, six context blocks
    assert named(undecayed) == norms
    assert named(decayed) == set(names.values()) - norms
    assert len(decayed["params"]) + len(undecayed["params"]) == len(names)


def test_the_batch_norm_of_a_non_local_block_is_not_decayed():
    block = NonLocalBlock(8)
    _, undecayed = parameter_groups(block)
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm1d)]
    assert {id(p) for _, p in undecayed["params"]} == {id(p) for norm in norms for p in norm.parameters()}
    assert len(undecayed["params"]) == 2


def test_frozen_parameters_are_left_out():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2), nn.LayerNorm(2))
    network[0].requires_grad_(False)
    network[1].requires_grad_(False)
    decayed, undecayed = parameter_groups(network)
    assert decayed["params"] == list(network[2].named_parameters(prefix="2"))
    assert undecayed["params"] == list(network[3].named_parameters(prefix="3"))


def test_a_step_without_gradient_shrinks_weights_and_keeps_norms():
    network = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    optimizer = torch.optim.SGD(parameter_groups(network), lr=1.0, weight_decay=0.1)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    factors = [0.9, 0.9, 1.0, 1.0]
    for parameter, old, factor in zip(network.parameters(), before, factors, strict=True):
        torch.testing.assert_close(parameter.detach(), factor * old)


def test_with_one_dimension_no_bias_and_no_vector_is_decayed_as_pyslowfasts_zero_wd_1d_param():
    network = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm((2, 2)), nn.Conv3d(2, 3, 1), nn.PReLU(3))
    network.temperature = nn.Parameter(torch.ones(()))
    decayed, undecayed = parameter_groups(network, undecayed="one_dimension")
    assert [name for name, _ in decayed["params"]] == ["0.weight", "2.weight"]
    names = {"temperature", "0.bias", "1.weight", "1.bias", "2.bias", "3.weight"}
    assert {name for name, _ in undecayed["params"]} == names
    assert undecayed["weight_decay"] == 0.0


def keeping(
    make: Callable[..., Optimizer], groups: list[dict[str, Any]], *, lr: float, **settings: Any
) -> Optimizer:
    optimizer = make(groups, lr, **settings)
    keep_state_by_name(optimizer, partial(make, **settings))
    return optimizer


sgd = partial(keeping, torch.optim.SGD)


def test_a_saved_state_is_found_by_name_and_the_settings_are_ones_own(caplog):
    """After one step with gradient g, momentum is g; a step without gradient then moves by rate * m * g."""
    one, two, three = (nn.Parameter(torch.zeros(())) for _ in range(3))
    before = sgd([{"params": [("one", one), ("two", two)]}], lr=1.0, momentum=0.9)
    one.grad, two.grad = torch.tensor(3.0), torch.tensor(5.0)
    before.step()
    saved = before.state_dict()

    after = sgd([{"params": [("three", three)], "lr": 0.1}, {"params": [("two", two)]}], lr=0.5, momentum=0.4)
    after.load_state_dict(saved)
    for parameter in (two, three):
        parameter.data.zero_()
        parameter.grad = torch.zeros(())
    after.step()
    assert (two.item(), three.item()) == (pytest.approx(-0.5 * 0.4 * 5.0), 0.0)
    assert [group["lr"] for group in after.param_groups] == [0.1, 0.5]
    assert "1 parameters are trained anew, and begin without momentum; 1 are trained no more" in caplog.text


def test_a_state_without_names_is_refused():
    weight = nn.Parameter(torch.zeros(()))
    saved = torch.optim.SGD([weight], lr=1.0).state_dict()
    with pytest.raises(ValueError, match="does not name its parameters; it is of an older gcvideo"):
        sgd([{"params": [("weight", weight)]}], lr=1.0).load_state_dict(saved)


def test_the_state_of_another_optimizer_is_not_taken_over(caplog):
    weight = nn.Parameter(torch.ones(()))
    weight.grad = torch.ones(())
    before = sgd([{"params": [("weight", weight)]}], lr=1.0, momentum=0.9)
    before.step()
    after = keeping(torch.optim.AdamW, [{"params": [("weight", weight)]}], lr=1.0)
    after.load_state_dict(before.state_dict())
    after.step()
    assert after.state_dict()["state"][0]["step"] == 1
    assert "the optimizer is AdamW (was SGD) and begins without" in caplog.text


@pytest.mark.parametrize(
    ("optimizer", "settings", "bytes_of_a_byte"),
    [
        (torch.optim.SGD, {}, 0.0),
        (torch.optim.SGD, {"momentum": 0.9}, 1.0),
        (torch.optim.AdamW, {}, 2.0),
        (torch.optim.AdamW, {"amsgrad": True}, 3.0),
    ],
)
def test_the_room_for_an_optimizers_state_is_what_the_optimizer_takes(optimizer, settings, bytes_of_a_byte):
    assert state_per_weight(partial(optimizer, **settings)) == pytest.approx(bytes_of_a_byte, abs=1e-3)


@pytest.mark.parametrize(
    ("make", "before", "now", "begins"),
    [
        (torch.optim.AdamW, {}, {"amsgrad": True}, "max_exp_avg_sq of AdamW begins at 0"),
        (torch.optim.RMSprop, {}, {"momentum": 0.9}, "momentum_buffer of RMSprop begins at 0"),
        (torch.optim.RMSprop, {}, {"centered": True}, "grad_avg of RMSprop begins at 0"),
        (torch.optim.SGD, {"momentum": 0.9}, {}, ""),
        (torch.optim.AdamW, {"amsgrad": True}, {"weight_decay": 0.5, "betas": (0.5, 0.9)}, ""),
    ],
)
def test_what_changed_settings_need_besides_begins_at_zero_and_the_rest_goes_on(
    caplog, make, before, now, begins
):
    """As if the optimizer had been told of the new settings without a stop."""

    def steps(optimizer: Optimizer, weight: Tensor, gradients: list[float]) -> None:
        for gradient in gradients:
            weight.grad = torch.full_like(weight, gradient)
            optimizer.step()

    weight, other = (nn.Parameter(torch.ones(2, 3, dtype=torch.float64)) for _ in range(2))
    stopped = keeping(make, [{"params": [("weight", weight)]}], lr=0.1, **before)
    steps(stopped, weight, [1.0, 3.0])
    other.data.copy_(weight.data)
    going_on = keeping(make, [{"params": [("weight", other)]}], lr=0.1, **now)
    going_on.load_state_dict(copy.deepcopy(stopped.state_dict()))
    (told,) = stopped.param_groups
    told.update({key: value for key, value in going_on.param_groups[0].items() if key != "params"})
    for name in set(going_on.state[other]) - set(stopped.state[weight]):
        stopped.state[weight][name] = torch.zeros_like(weight)
    steps(stopped, weight, [2.0, -1.0])
    steps(going_on, other, [2.0, -1.0])
    assert torch.equal(other, weight)
    assert begins in caplog.text


def test_a_state_that_cannot_begin_at_zero_is_refused():
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    before = keeping(torch.optim.AdamW, [{"params": [("weight", weight)]}], lr=0.1)
    before.step()
    saved = before.state_dict()
    saved["state"][0].pop("step")
    after = keeping(torch.optim.AdamW, [{"params": [("weight", weight)]}], lr=0.1)
    with pytest.raises(ValueError, match="the checkpoint's AdamW has no step, which it needs"):
        after.load_state_dict(saved)


SCHEDULES: dict[str, Callable[[Optimizer, float], lr_scheduler.LRScheduler]] = {
    "function": lambda optimizer, x: lr_scheduler.LambdaLR(optimizer, lambda step: 1 + x * step),
    "steps": lambda optimizer, x: lr_scheduler.StepLR(optimizer, 3, gamma=x),
    "cosine": lambda optimizer, x: lr_scheduler.CosineAnnealingLR(optimizer, 20, eta_min=x / 10),
    "one cycle": lambda optimizer, x: lr_scheduler.OneCycleLR(optimizer, max_lr=x, total_steps=40),
}


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_that_goes_on_is_the_one_that_never_stopped_with_the_settings_of_now(name, every):
    def schedule(peak: float, x: float) -> CountedSchedule:
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=peak, momentum=0.9)
        return CountedSchedule(SCHEDULES[name](optimizer, x), every=every)

    def settings(of: CountedSchedule, steps: int) -> list[tuple[float, float]]:
        seen = []
        for _ in range(steps):
            seen.append((of.optimizer.param_groups[0]["lr"], of.optimizer.param_groups[0]["momentum"]))
            of.optimizer.step()
            of.step()
        return seen

    stopped, changed, never = schedule(2.0, 0.5), schedule(3.0, 0.7), schedule(3.0, 0.7)
    settings(stopped, 9)
    changed.load_state_dict(stopped.state_dict())
    assert settings(changed, 9) == settings(never, 18)[9:]
    assert never.last_epoch == changed.last_epoch == 18


def test_the_state_of_an_older_run_is_read():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=2.0)
    schedule = CountedSchedule(lr_scheduler.LambdaLR(optimizer, lambda step: 1 + step))
    schedule.load_state_dict({"last_epoch": 4, "_step_count": 5})
    assert schedule.get_last_lr() == [10.0]
