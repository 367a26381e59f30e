"""A network among other things in one state dict."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gcvideo.backbones import VideoResNet
from gcvideo.backbones.checkpoints import Weights, load_weights


def network() -> VideoResNet:
    return VideoResNet(5, width=4 / 64)


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def below(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{key}": tensor for key, tensor in state.items()}


@pytest.mark.parametrize(
    ("prefix", "other"),
    [
        ("net", ""),
        ("model", "criterion.weight"),
        ("model.net", "criterion.weight"),
        ("net._orig_mod", ""),
        ("encoder.module", "criterion.weight"),
    ],
)
def test_a_network_inside_a_lightning_module_is_loaded(prefix, other, tmp_path, caplog):
    source, target = network(), network()
    state = below(prefix, source.state_dict()) | ({other: torch.ones(5)} if other else {})
    path = saved(tmp_path / "last.ckpt", {"state_dict": state, "pytorch-lightning_version": "2.5.0"})
    with caplog.at_level("INFO", logger="gcvideo"):
        load_weights(target, Weights(path))
    assert equal(target.state_dict(), source.state_dict())
    assert f"{'1 (criterion)' if other else '0'} of the file left behind" in caplog.text


def test_of_two_networks_in_one_state_one_must_be_named(tmp_path):
    student, teacher, target = network(), network(), network()
    state = below("student", student.state_dict()) | below("teacher", teacher.state_dict())
    path = saved(tmp_path / "last.ckpt", {"state_dict": state})
    with pytest.raises(ValueError, match=r"holds 2 networks: student, teacher; name one as weights.state"):
        load_weights(target, Weights(path))
    load_weights(target, Weights(path, state="teacher"))
    assert equal(target.state_dict(), teacher.state_dict())
    with pytest.raises(ValueError, match=r"'pupil' was asked, but its states are: state_dict"):
        load_weights(target, Weights(path, state="pupil"))


def test_a_network_of_ones_own_around_a_resnet_keeps_all_its_keys(tmp_path):
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.last = network(), nn.Linear(2, 3)

    source, target = Wrapped(), Wrapped()
    load_weights(target, Weights(saved(tmp_path / "own.pth", source.state_dict())))
    assert equal(target.state_dict(), source.state_dict())
