"""Activations computed again change the memory of training and nothing else."""

import copy
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from gcvideo.training import ActivationCheckpointing, VideoClassifier
from tests.training.networks import TwoLayers
from tests.training.test_finetuning import classifier, fit

QUIET = {"logger": False, "enable_checkpointing": False, "accelerator": "cpu", "devices": 1}


def test_training_is_the_same_to_the_bit(tmp_path: Path) -> None:
    plain = classifier()
    recomputed = copy.deepcopy(plain)
    torch.manual_seed(1)
    fit(plain, tmp_path)
    torch.manual_seed(1)
    fit(recomputed, tmp_path, ActivationCheckpointing(["res2", "res3", "res4", "res5"]))
    after, expected = recomputed.state_dict(), plain.state_dict()
    assert list(after) == list(expected)
    different = [key for key in expected if not torch.equal(after[key], expected[key])]
    assert different == []


def bytes_kept_for_backward(network: nn.Module, clip: torch.Tensor) -> int:
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(clip).sum().backward()
    return sum(kept.values())


def test_inner_activations_of_the_stages_are_not_kept(tmp_path: Path) -> None:
    model = classifier().train()
    clip = torch.randn(2, 3, 4, 64, 64)
    before = bytes_kept_for_backward(model.network, clip)
    callback = ActivationCheckpointing(["res2", "res3", "res4", "res5"])
    callback.on_fit_start(Trainer(**QUIET), model)
    assert bytes_kept_for_backward(model.network, clip) < before / 2
    callback.on_fit_end(Trainer(**QUIET), model)
    assert bytes_kept_for_backward(model.network, clip) == before


def test_other_networks_are_named() -> None:

    model = VideoClassifier(partial(TwoLayers), ["a", "b"])
    with pytest.raises(
        ValueError, match="by its stages, and TwoLayers does not show them; give it a property"
    ):
        ActivationCheckpointing(["res2"]).on_fit_start(Trainer(**QUIET), model)


def test_no_stage_is_refused() -> None:
    with pytest.raises(ValueError, match="stages is empty"):
        ActivationCheckpointing([])


@pytest.mark.slow
def test_a_compiled_network_may_compute_activations_again() -> None:
    """In a process of its own: functions whose shapes are checked, as in tests, are not traced."""
    command = [sys.executable, "-m", "tests.training.recomputed"]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True)
