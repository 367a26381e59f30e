"""Any loss by its class_path: torch's, and one of the user's own."""

from pathlib import Path

import pytest

from gcvideo.cli import main
from tests.doors.own import dataset, ends_apart, fit, fit_with_a_stop, write_module
from tests.training.runs import batches, last_checkpoint, write_config

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


def test_a_teacher_is_read_by_fit_alone_and_a_stopped_run_goes_on_as_one_never_stopped(
    root, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("GCVIDEO_TRUST", "tests")
    fit(tmp_path / "teacher", root)
    teacher = tmp_path / "teacher" / "run" / "checkpoints" / "best.ckpt"
    named = {"teacher": "tests.training.networks.TwoLayers", "weights": {"path": str(teacher)}, "share": 0.5}
    distilled = {"class_path": "gcvideo.training.Distillation", "init_args": named}
    trainer = {"callbacks": [{"class_path": "EMAWeightAveraging", "init_args": {"decay": 0.9}}]}
    level = {"class_path": "gcvideo.training.Constant"}
    settings = {"model": {"loss": distilled, "lr_schedule": level}, "trainer": trainer}
    fit(tmp_path / "never", root, **settings)
    fit_with_a_stop(tmp_path / "stopped", root, **settings)
    assert ends_apart(tmp_path / "stopped", tmp_path / "never") == []
    without = last_checkpoint(tmp_path / "teacher")["state_dict"]
    assert last_checkpoint(tmp_path / "never")["state_dict"].keys() == without.keys()
    assert losses(tmp_path / "never") != losses(tmp_path / "teacher")

    # The file is missed by what trains, and by nothing else.
    teacher.unlink()
    student = tmp_path / "never" / "run" / "checkpoints" / "last.ckpt"
    main(["test", "--config", str(tmp_path / "never" / "run" / "config.yaml"), "--ckpt_path", str(student)])
    main(["predict", str(root / "00.mp4"), "--checkpoint", str(student), "--out", str(tmp_path / "out")])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        fit(tmp_path / "missing", root, **settings)
    assert f"{teacher}: no such file of weights" in capsys.readouterr().err


def test_a_loss_that_does_not_take_blended_targets_is_refused_before_anything_is_read(root, tmp_path, capsys):
    for name in ("MultiMarginLoss", "NLLLoss"):
        loss = {"class_path": f"torch.nn.{name}"}
        with pytest.raises(SystemExit):
            fit(tmp_path / name, root, model={"loss": loss})
        assert f"gcvideo fit: model.loss is {name}, which " in capsys.readouterr().err.splitlines()[-1]
        assert not (tmp_path / name / "run").exists()
