"""Any optimizer by its class_path: torch's and one of the user's own."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm.optim
import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from torch import nn

from gcvideo.clip import ViewBatch
from gcvideo.training import Constant, VideoClassifier
from tests.doors.own import dataset, ends_apart, fit, fit_with_a_stop, write_module
from tests.training.networks import TwoLayers
from tests.training.runs import last_checkpoint
from tests.training.test_classifier import Loader

SIGN_DESCENT = '''
import torch


class SignDescent(torch.optim.Optimizer):
    """w <- w - lr (sign(m) + decay w), m <- beta m + g."""

    def __init__(self, params, lr: float, *, beta: float = 0.9, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "beta": beta, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for weight in group["params"]:
                mean = self.state[weight].setdefault("mean", torch.zeros_like(weight))
                mean.mul_(group["beta"]).add_(weight.grad)
                weight.sub_(group["lr"] * (mean.sign() + group["weight_decay"] * weight))
        return loss
'''
EVERY_OTHER_STEP = {
    "lr_schedule": {"class_path": "StepLR", "init_args": {"step_size": 2}},
    "lr_interval": "step",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("videos"))


@pytest.mark.parametrize(
    ("class_path", "init_args", "states"),
    [
        ("torch.optim.AdamW", {"weight_decay": 0.05}, {"step", "exp_avg", "exp_avg_sq"}),
        ("sign_descent.SignDescent", {"weight_decay": 0.05, "beta": 0.5}, {"mean"}),
        ("timm.optim.Lamb", {"weight_decay": 0.05}, {"exp_avg", "exp_avg_sq"}),
        pytest.param(
            *("timm.optim.Lars", {"weight_decay": 0.05, "momentum": 0.9}, {"momentum_buffer"}),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_run_with_any_optimizer_is_stopped_and_goes_on_as_one_never_stopped(
    root, tmp_path, monkeypatch, class_path, init_args, states
):
    write_module(tmp_path / "own", monkeypatch, "sign_descent", SIGN_DESCENT)
    optimizer = {"class_path": class_path, "init_args": init_args}
    model = {"optimizer": optimizer, "layer_decay": 0.5, "learning_rate": 0.08, **EVERY_OTHER_STEP}
    fit(tmp_path / "never", root, model=model)
    fit_with_a_stop(tmp_path / "stopped", root, model=model)
    assert ends_apart(tmp_path / "stopped", tmp_path / "never") == []

    checkpoint = last_checkpoint(tmp_path / "never")
    assert checkpoint["config"]["model"]["optimizer"]["class_path"] == class_path
    (state,) = checkpoint["optimizer_states"]
    assert state["state"][0].keys() == states
    for group in state["param_groups"]:
        (layer,) = {name.partition(".")[0] for name in group["param_names"]}
        depth = ["head", "second_norm", "second", "first_norm", "first"].index(layer)
        peak = 0.08 * 2 / 64 * 0.5**depth  # by the linear rule, and less with every layer before the head
        assert group["lr"] == pytest.approx(peak * 0.1**3)
        assert group["weight_decay"] == (0.0 if layer.endswith("norm") else 0.05)


class WithoutDropout(TwoLayers):
    """In float64."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.head[0] = nn.Identity()
        self.double()


def gradients_applied(
    tmp_path: Path, optimizer: Any, apply: Callable[[nn.Parameter, dict[str, Any], bool], None]
) -> tuple[nn.Module, nn.Module]:
    """Train with an optimizer, and a network alone by what `apply` does with (weight, state, is norm)."""
    torch.manual_seed(0)
    batches = [
        ViewBatch(torch.randn(4, 1, 3, 4, 16, 16, dtype=torch.float64), torch.randint(3, (4,)), list("abcd"))
        for _ in range(3)
    ]
    settings: dict[str, Any] = {"learning_rate": 0.02, "batch_size": 64, "lr_schedule": Constant()}
    model = VideoClassifier(WithoutDropout, ["a", "b", "c"], optimizer=optimizer, **settings)
    alone = WithoutDropout(3)
    alone.load_state_dict(model.network.state_dict())
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "accelerator": "cpu", "devices": 1, "max_epochs": 2}
    loader = Loader(batches)
    Trainer(default_root_dir=tmp_path, precision="64-true", **quiet).fit(model, loader, loader)

    states: dict[str, dict[str, Any]] = {name: {} for name, _ in alone.named_parameters()}
    for batch in batches * 2:
        alone.zero_grad()
        F.cross_entropy(alone(batch.views[:, 0]), batch.target).backward()
        with torch.no_grad():
            for name, weight in alone.named_parameters():
                apply(weight, states[name], "norm" in name)
    return model.network, alone


def test_lamb_and_lars_of_timm_are_their_equations(tmp_path):
    """You et al., arXiv:1904.00962 and arXiv:1708.03888; norms, which are not decayed, are not adapted."""

    def lamb(weight: nn.Parameter, state: dict[str, Any], norm: bool) -> None:
        t = state["t"] = state.get("t", 0) + 1
        m = state["m"] = 0.9 * state.get("m", 0) + 0.1 * weight.grad
        v = state["v"] = 0.999 * state.get("v", 0) + 0.001 * weight.grad**2
        step = m / (1 - 0.9**t) / ((v / (1 - 0.999**t)).sqrt() + 1e-6)
        if not norm:
            step = step + 0.3 * weight
            step = step * weight.norm() / step.norm()
        weight -= 0.02 * step

    def lars(weight: nn.Parameter, state: dict[str, Any], norm: bool) -> None:
        step = weight.grad
        if not norm:
            ratio = 0.001 * weight.norm() / (weight.grad.norm() + 0.3 * weight.norm() + 1e-8)
            step = ratio * (weight.grad + 0.3 * weight)
        m = state["m"] = 0.9 * state["m"] + step if "m" in state else step.clone()
        weight -= 0.02 * m

    makers = {
        lamb: partial(timm.optim.Lamb, weight_decay=0.3, max_grad_norm=None),
        lars: partial(timm.optim.Lars, weight_decay=0.3, momentum=0.9),
    }
    for apply, optimizer in makers.items():
        trained, alone = gradients_applied(tmp_path, optimizer, apply)
        for name, weight in alone.named_parameters():
            torch.testing.assert_close(trained.get_parameter(name), weight, rtol=0, atol=1e-11)


def test_adamw_is_torchs_own_in_a_plain_loop(tmp_path):
    torch.manual_seed(0)
    batches = [
        ViewBatch(torch.randn(4, 1, 3, 4, 16, 16, dtype=torch.float64), torch.randint(3, (4,)), list("abcd"))
        for _ in range(3)
    ]
    model = VideoClassifier(
        WithoutDropout,
        ["a", "b", "c"],
        learning_rate=0.02,
        reference_batch_size=4,
        batch_size=4,
        optimizer=partial(torch.optim.AdamW, weight_decay=0.3),
        lr_schedule=partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5),
    )
    alone = WithoutDropout(3)
    alone.load_state_dict(model.network.state_dict())

    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "accelerator": "cpu", "devices": 1, "max_epochs": 2}
    loader = Loader(batches)
    Trainer(default_root_dir=tmp_path, precision="64-true", **quiet).fit(model, loader, loader)

    norms = [*alone.first_norm.parameters(), *alone.second_norm.parameters()]
    others = [weight for weight in alone.parameters() if not any(weight is norm for norm in norms)]
    optimizer = torch.optim.AdamW(
        [{"params": others}, {"params": norms, "weight_decay": 0.0}], lr=0.02, weight_decay=0.3
    )
    for epoch in range(2):
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * 0.5**epoch
        for batch in batches:
            optimizer.zero_grad()
            F.cross_entropy(alone(batch.views[:, 0]), batch.target).backward()
            optimizer.step()
    for name, weight in alone.named_parameters():
        torch.testing.assert_close(model.network.get_parameter(name), weight, rtol=0, atol=1e-12)
