"""Any loss by its class_path: torch's, and one of the user's own."""

from pathlib import Path

import pytest

from gcvideo.cli import main
from tests.doors.own import dataset, fit, write_module
from tests.training.runs import batches, write_config

FOCAL = '''
import torch
from torch import nn


class FocalLoss(nn.Module):
    """-(1 - p)^gamma log p of the target, mean over the clips; gamma 0 is cross-entropy."""

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, logits, target):
        if target.ndim == 1:
            target = nn.functional.one_hot(target, logits.shape[1])
        logs = logits.log_softmax(1)
        return -(target * (1 - logs.exp()) ** self.gamma * logs).sum(1).mean()
'''


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("videos"))


def losses(folder: Path) -> list[float]:
    return [float.fromhex(facts["loss"]) for facts in batches(folder).values() if "loss" in facts]


def test_a_loss_of_ones_own_is_trained_with_on_blended_clips(root, tmp_path, monkeypatch):
    write_module(tmp_path / "own", monkeypatch, "focal", FOCAL)
    for name, loss in {
        "default": {},
        "same": {"loss": {"class_path": "focal.FocalLoss", "init_args": {"gamma": 0.0}}},
        "other": {"loss": {"class_path": "focal.FocalLoss"}},
    }.items():
        fit(tmp_path / name, root, model=loss, trainer={"max_epochs": 1})
    default = losses(tmp_path / "default")
    assert len(default) == 3
    assert losses(tmp_path / "same") == pytest.approx(default, rel=1e-5)
    assert losses(tmp_path / "other")[0] < 0.9 * default[0]


def test_a_loss_that_gives_several_numbers_is_refused(root, tmp_path, capsys):
    none = {"class_path": "torch.nn.CrossEntropyLoss", "init_args": {"reduction": "none"}}
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(write_config(tmp_path, root, model={"loss": none}))])
    assert "model.loss gives [2] numbers for [2, 3] logits; expected one" in capsys.readouterr().err
