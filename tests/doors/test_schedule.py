"""Any schedule by its class_path: torch's, and a Schedule of the user's own."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from gcvideo.cli import main
from tests.doors.own import dataset, ends_apart, fit, fit_with_a_stop, write_module
from tests.training.runs import last_checkpoint, write_config

LINEAR = """
from dataclasses import dataclass

from gcvideo.training import Schedule


@dataclass(frozen=True)
class Linear(Schedule):
    end: float = 0.0

    def __call__(self, epoch: float, max_epochs: float) -> float:
        return 1 + (self.end - 1) * epoch / max_epochs
"""
PEAK = 0.5 * 2 / 64


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("videos"))


def rates(folder: Path) -> list[float]:
    table = pd.read_csv(folder / "run" / "metrics" / "metrics.csv")
    return table["lr-SGD/pg1"].dropna().tolist()


def test_a_schedule_of_ones_own_gives_the_rate_of_every_step(root, tmp_path, monkeypatch):
    write_module(tmp_path / "own", monkeypatch, "linear", LINEAR)
    schedule = {"class_path": "linear.Linear", "init_args": {"end": 0.4}}
    fit(tmp_path, root, model={"lr_schedule": schedule})
    assert rates(tmp_path) == pytest.approx([PEAK * (1 - 0.6 * step / 6) for step in range(6)])


def test_a_schedule_of_torchs_steps_with_the_epochs_whether_the_run_was_stopped_or_not(root, tmp_path):
    torchs = "torch.optim.lr_scheduler.CosineAnnealingLR"
    model = {"lr_schedule": {"class_path": torchs, "init_args": {"T_max": 2}}}
    fit(tmp_path / "never", root, model=model)
    fit_with_a_stop(tmp_path / "stopped", root, model=model)
    assert ends_apart(tmp_path / "stopped", tmp_path / "never") == []
    assert rates(tmp_path / "never") == pytest.approx([PEAK] * 3 + [PEAK / 2] * 3)


def test_torchs_one_cycle_moves_rate_and_momentum_whether_the_run_was_stopped_or_not(root, tmp_path):
    torchs = {"class_path": "OneCycleLR", "init_args": {"max_lr": 0.2, "total_steps": 9, "pct_start": 0.5}}
    model = {"lr_schedule": torchs, "lr_interval": "step"}
    fit(tmp_path / "never", root, model=model)
    fit_with_a_stop(tmp_path / "stopped", root, model=model)
    assert ends_apart(tmp_path / "stopped", tmp_path / "never") == []

    optimizer = torch.optim.SGD([torch.zeros((), requires_grad=True)], lr=PEAK, momentum=0.9)
    alone = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=9, pct_start=0.5)
    expected = []
    for _ in range(6):
        expected.append(alone.get_last_lr()[0])
        optimizer.step()
        alone.step()
    assert rates(tmp_path / "never") == pytest.approx(expected)
    (state,) = last_checkpoint(tmp_path / "never")["optimizer_states"]
    momentum = optimizer.param_groups[0]["momentum"]
    assert 0.85 < momentum < 0.95
    assert [group["momentum"] for group in state["param_groups"]] == [pytest.approx(momentum)] * 2


def test_what_cannot_go_on_exactly_is_refused_and_what_has_rates_of_its_own_is_said(root, tmp_path, capsys):
    def run(name: str, **init_args: float | str) -> None:
        schedule = {"class_path": f"torch.optim.lr_scheduler.{name}", "init_args": init_args}
        file = write_config(
            tmp_path / f"{name} {init_args}", root, model={"lr_schedule": schedule, "lr_interval": "step"}
        )
        main(["fit", "--config", str(file)])

    with pytest.raises(SystemExit):
        run("ReduceLROnPlateau", mode="max")
    assert "model.lr_schedule is ReduceLROnPlateau, which follows a metric" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("OneCycleLR", max_lr=0.1, total_steps=5)
    said = capsys.readouterr().err
    assert "OneCycleLR of 5 steps, and the run steps it 6 times; set total_steps to that" in said
    assert not list(tmp_path.glob("*/record"))  # no batch was trained on
    run("OneCycleLR", max_lr=0.1, total_steps=6)
    assert (
        "OneCycleLR sets rates of its own: learning_rate and layer_decay have no" in capsys.readouterr().err
    )
