"""Files of weights that hold something else, or several things."""

import argparse
import pickle
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import resnet50

from gcvideo.backbones import VideoResNet
from gcvideo.backbones.checkpoints import Weights, load_weights, read_checkpoint

WIDTH = 4 / 64


ARGUMENTS = argparse.Namespace(lr=0.1)


def network() -> VideoResNet:
    return VideoResNet(5, width=WIDTH)


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def optimizer() -> dict[str, object]:
    layer = nn.Linear(2, 3)
    adam = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    adam.step()
    return adam.state_dict()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            optimizer(),
            "the state of an optimizer and no weights; use the checkpoint that was saved beside it",
        ),
        ({"epoch": 3, "optimizer": optimizer()}, "the state of an optimizer and no weights"),
        ([torch.ones(2)], "holds a list; expected a state dict"),
        (torch.ones(2), "holds a Tensor; expected a state dict"),
        ({}, "no tensors by name, only: an empty dictionary"),
        (
            {
                "model": {"weight": np.ones(2)},
                "args": ARGUMENTS,
            },
            r"no tensors by name, only: model \(dict\)",
        ),
        ({"epoch": 3, "meta": {"lr": 0.1}}, r"no tensors by name, only: epoch \(int\), meta \(dict\)"),
        ({"model": {"weight": torch.ones(2), "scheme": "int8"}}, r"tensors in model among.*: scheme \(str\)"),
    ],
)
def test_a_file_without_weights_is_told_what_it_holds(content, said, tmp_path):
    with pytest.raises(ValueError, match=said) as refused:
        read_checkpoint(saved(tmp_path / "file.pth", content))
    assert "\n" not in str(refused.value)
    assert "weights.state" not in str(refused.value)


def test_a_file_of_caffe2_is_told_and_who_reads_it(tmp_path):
    path = tmp_path / "r50_k400.pkl"
    path.write_bytes(pickle.dumps({"blobs": {"conv1_w": np.ones((4, 3)), "lr": 0.1}}, protocol=2))
    with pytest.raises(ValueError, match=r"blobs of Caffe2 \(conv1_w, lr, ...\).*PySlowFast reads them"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("beginning", "said"),
    [
        (b"<!DOCTYPE html><html>Quota exceeded</html>", "a page of the web"),
        (b"\n<html>", "a page of the web"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "a pointer of Git LFS"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"\x1f\x8b\x08", "a gzip archive"),
    ],
)
def test_a_file_of_another_kind_is_named(beginning, said, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(beginning + b" " * 100)
    with pytest.raises(ValueError, match=f"weights.pth: is {said}"):
        read_checkpoint(path)


@pytest.mark.filterwarnings("ignore:.torch.jit.* is deprecated")
def test_programs_are_named_with_what_to_use(tmp_path):
    layer, path = nn.Linear(2, 3), tmp_path / "program.pt"
    torch.jit.save(torch.jit.script(layer), path)
    with pytest.raises(ValueError, match="a TorchScript program; save the state_dict"):
        read_checkpoint(path)
    torch.export.save(torch.export.export(layer, (torch.ones(1, 2),)), tmp_path / "model.pt2")
    with pytest.raises(ValueError, match=r"a program of torch.export; use the plain weights"):
        read_checkpoint(tmp_path / "model.pt2")


def test_one_bit_of_a_weight_that_flipped_is_noticed(tmp_path):
    path = saved(tmp_path / "weights.pth", {"weight": torch.zeros(1000)})
    content = bytearray(path.read_bytes())
    content[content.index(bytes(1000)) + 500] = 1
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)["weight"].sum() != 0  # torch does not look
    with pytest.raises(ValueError, match="does not have its checksum; fetch it again"):
        read_checkpoint(path)


def test_a_checkpoint_of_timm_with_its_arguments_is_loaded(tmp_path):
    """`model_best.pth.tar`: the state, the optimizer's, and the command line as a Namespace."""
    theirs = timm.create_model("resnet50", num_classes=7)
    content = {"epoch": 3, "arch": "resnet50", "state_dict": theirs.state_dict(), "optimizer": optimizer()}
    content |= {"args": argparse.Namespace(model="resnet50", lr=0.1), "version": 2, "metric": 71.2}
    path = saved(tmp_path / "model_best.pth.tar", content)
    ours = VideoResNet(5)
    load_weights(ours, Weights(path))
    assert torch.equal(ours.blocks[0].conv.weight[:, :, 0], theirs.conv1.weight)
    assert read_checkpoint(path).record["args"] == {"model": "resnet50", "lr": 0.1}


def test_a_module_that_was_pickled_whole_is_loaded(tmp_path):
    theirs = resnet50(num_classes=7)
    ours = VideoResNet(5)
    load_weights(ours, Weights(saved(tmp_path / "model.pth", nn.DataParallel(theirs))))
    assert torch.equal(ours.blocks[0].conv.weight[:, :, 0], theirs.conv1.weight)


def test_a_state_further_down_is_found_where_it_is_the_only_one(tmp_path):
    source, target = network(), network()
    content = {"checkpoint": {"model": source.state_dict(), "optimizer": optimizer()}, "epoch": 3}
    load_weights(target, Weights(saved(tmp_path / "deep.pth", content)))
    load_weights(network(), Weights(saved(tmp_path / "bytes.pth", {b"model": source.state_dict()})))
    assert equal(target.state_dict(), source.state_dict())
