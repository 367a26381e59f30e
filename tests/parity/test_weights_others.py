"""Files of torchvision's networks for video and of X3D: recognised, loaded exactly, refused by others."""

from functools import partial
from pathlib import Path

import pytest
import torch
from pytorchvideo.models.x3d import create_x3d
from torch import nn
from torchvision.models import get_model, video

from gcvideo.backbones import S3D, X3D, MViT, Swin3D, TorchvisionResNet, VideoResNet
from gcvideo.backbones.checkpoints import Weights, load_weights
from gcvideo.backbones.checkpoints.others import OTHERS
from gcvideo.blocks import GlobalContextBlock
from gcvideo.cli import main

FILES = {
    # The library's network, how it is named here, and what takes it.
    **{
        name: (partial(get_model, name), title, partial(TorchvisionResNet, name=name))
        for name, title in {
            "r3d_18": "torchvision naming, R3D-18",
            "mc3_18": "torchvision naming, MC3-18",
            "r2plus1d_18": "torchvision naming, R(2+1)D-18",
        }.items()
    },
    "s3d": (partial(get_model, "s3d"), "torchvision naming, S3D", S3D),
    "mvit_v2_s": (partial(get_model, "mvit_v2_s"), "torchvision naming, MViTv2", MViT),
    "swin3d_t": (partial(get_model, "swin3d_t"), "torchvision naming, Video Swin-T", Swin3D),
    "swin3d_s": (
        partial(get_model, "swin3d_s"),
        "torchvision naming, Video Swin-S",
        partial(Swin3D, depths=(2, 2, 18, 2)),
    ),
    "swin3d_b": (
        partial(get_model, "swin3d_b"),
        "torchvision naming, Video Swin-B",
        partial(Swin3D, width=128, depths=(2, 2, 18, 2)),
    ),
    "x3d_m": (
        lambda num_classes: create_x3d(model_num_class=num_classes),
        "pytorchvideo naming, X3D-XS, S or M",
        X3D,
    ),
    "x3d_l": (
        lambda num_classes: create_x3d(model_num_class=num_classes, depth_factor=5.0),
        "pytorchvideo naming, X3D-L",
        partial(X3D, depth_factor=5.0),
    ),
}
QUICK = ("mc3_18", "s3d", "x3d_m")


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in FILES])
def file(request, tmp_path) -> tuple[Path, nn.Module, str, type[nn.Module]]:
    theirs, title, ours = FILES[request.param]
    torch.manual_seed(0)
    library, path = theirs(num_classes=4), tmp_path / "weights.pth"
    torch.save(library.state_dict(), path)
    return path, library, title, ours


def test_a_file_is_recognised_and_loaded_but_for_a_new_head_and_blocks(file, caplog, capsys):
    path, library, title, ours = file
    caplog.set_level("INFO", logger="gcvideo")
    network = ours(4)
    load_weights(network, Weights(path))
    prefix = "" if isinstance(network, X3D) else "net."
    same = {prefix + key: tensor for key, tensor in library.state_dict().items()}
    assert network.state_dict().keys() == same.keys()
    assert all(torch.equal(network.state_dict()[key], tensor) for key, tensor in same.items())
    assert f"({title}, 4 classes): {len(same)} tensors of {type(network).__name__}" in caplog.text

    takes_blocks = not isinstance(network, MViT | Swin3D)
    placed = {"block": GlobalContextBlock, "placement": {"res3": [1], "res5": [0]}} if takes_blocks else {}
    other = ours(7, **placed)
    with pytest.raises(
        ValueError, match=r"the head is of other classes; weights\.new: \[head\] starts a new"
    ):
        load_weights(ours(7), Weights(path))
    load_weights(other, Weights(path, new=["head", *["blocks"] * takes_blocks]))
    loaded = other.state_dict()
    [head] = [name for name, part in other.named_modules() if part is other.head]
    kept = same.keys() - {f"{head}.weight", f"{head}.bias"}
    assert len(kept) == len(same) - 2
    assert all(torch.equal(loaded[key], same[key]) for key in kept)

    capsys.readouterr()
    main(["weights", "inspect", str(path)])
    said = capsys.readouterr().out
    assert f"{path}: {title}, 4 classes; set model.network to gcvideo.backbones." in said
    assert "published weights have mean" in said


def test_a_file_of_another_network_is_named_and_refused(tmp_path):
    r3d, slow = tmp_path / "r3d.pth", tmp_path / "slow.pth"
    torch.save(get_model("r3d_18", num_classes=4).state_dict(), r3d)
    torch.save(VideoResNet(4, width=0.125).state_dict(), slow)
    of_r3d = r"R3D-18, 4 classes\)?; set model.network to gcvideo.backbones.TorchvisionResNet with name r3d"
    for network in (VideoResNet(4, width=0.125), TorchvisionResNet(4, name="mc3_18"), S3D(4)):
        with pytest.raises(ValueError, match=of_r3d):
            load_weights(network, Weights(r3d))
    with pytest.raises(ValueError, match=r"the file is of another network \(pytorchvideo naming, slow"):
        load_weights(S3D(4), Weights(slow))
    placed = S3D(4, block=GlobalContextBlock, placement={"res5": [0]})
    torch.save(get_model("s3d", num_classes=4).state_dict(), tmp_path / "s3d.pth")
    with pytest.raises(ValueError, match=r"lacks context blocks that the network has; weights\.new"):
        load_weights(placed, Weights(tmp_path / "s3d.pth"))
    torch.save(get_model("mvit_v1_b", num_classes=4).state_dict(), tmp_path / "mvit.pth")
    with pytest.raises(ValueError, match=r"MViTv1, 4 classes\); no network here is one"):
        load_weights(MViT(4), Weights(tmp_path / "mvit.pth"))


def test_the_normalisation_of_published_weights_is_that_of_torchvision():
    published = {
        "R3D-18": video.R3D_18_Weights,
        "MC3-18": video.MC3_18_Weights,
        "R(2+1)D-18": video.R2Plus1D_18_Weights,
        "S3D": video.S3D_Weights,
        "MViTv2": video.MViT_V2_S_Weights,
        "MViTv1": video.MViT_V1_B_Weights,
        "Video Swin-T": video.Swin3D_T_Weights,
        "Video Swin-S": video.Swin3D_S_Weights,
        "Video Swin-B": video.Swin3D_B_Weights,
    }
    of_torchvision = {other.title: other for other in OTHERS if other.title.startswith("torchvision")}
    assert of_torchvision.keys() == {f"torchvision naming, {name}" for name in published}
    for name, weights in published.items():
        transforms = weights.KINETICS400_V1.transforms()
        of_file = of_torchvision[f"torchvision naming, {name}"].input
        assert of_file.mean == pytest.approx(transforms.mean)
        assert of_file.std == pytest.approx(transforms.std)
