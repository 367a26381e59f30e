"""A compiled network trains as the eager one does, or not at all."""

import copy
import logging
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer

from gcvideo.training.compilation import CompileNetwork
from tests.training.test_finetuning import Loader, classifier, fit


def first_batch():
    return next(iter(Loader()))


def quiet_trainer() -> Trainer:
    return Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", devices=1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler, on its own insides
def test_training_is_that_of_the_eager_network_dropout_and_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="gcvideo")
    eager = classifier(learning_rate=0.01, batch_size=3)
    compiled = copy.deepcopy(eager)
    for model, callbacks in ((eager, []), (compiled, [CompileNetwork()])):
        torch.manual_seed(1)  # for dropout
        fit(model, tmp_path, *callbacks, precision="64-true")
    assert "compiled the network in" in caplog.text
    expected, after = eager.state_dict(), compiled.state_dict()
    assert list(after) == list(expected)
    for key in expected:
        torch.testing.assert_close(after[key], expected[key], rtol=1e-9, atol=1e-12)


def test_a_trial_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier()
    monkeypatch.setattr(type(model.network), "compile", lambda self, options: None)
    before = copy.deepcopy(model.state_dict())
    random_state = torch.get_rng_state()
    CompileNetwork().on_train_batch_start(quiet_trainer(), model, first_batch(), 0)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_compilation_that_takes_too_long_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = classifier()

    def endless(*_: object) -> torch.Tensor:
        try:
            while True:
                pass
        except TimeoutError as error:  # as the compiler does
            raise RuntimeError("backend failed") from error

    def compile(self: torch.nn.Module, options: dict) -> None:
        self._compiled_call_impl = endless

    monkeypatch.setattr(type(model.network), "compile", compile)
    CompileNetwork(max_minutes=0.005).on_train_batch_start(quiet_trainer(), model, first_batch(), 0)
    assert "took more than max_minutes 0.005; training goes on without" in caplog.text
    assert model.network(first_batch().views[:, 0]).shape == (3, 3)


def test_a_compiled_network_that_computes_something_else_ends_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = classifier()

    def compile(self: torch.nn.Module, options: dict) -> None:
        self._compiled_call_impl = lambda views: self.forward(views) + torch.arange(3)

    monkeypatch.setattr(type(model.network), "compile", compile)
    with pytest.raises(ValueError, match="the compiled network's loss is"):
        CompileNetwork().on_train_batch_start(quiet_trainer(), model, first_batch(), 0)
