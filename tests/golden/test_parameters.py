"""Parameter counts of published networks, built without weights."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models import video

from gcvideo.backbones import (
    CSN,
    S3D,
    X3D,
    MViT,
    Placement,
    R2Plus1D,
    SlowFast,
    Swin3D,
    TorchvisionResNet,
    VideoResNet,
)
from gcvideo.blocks import GlobalContextBlock
from gcvideo.complexity.paper import PAPER_ROWS, paper_network


def num_parameters(network: Callable[[int], nn.Module], num_classes: int = 400) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in network(num_classes).parameters())


@pytest.mark.parametrize(
    ("row", "millions"),
    [
        ("slow_r50", 32.45),
        ("slow_r50_nl5", 39.81),
        ("slow_r50_snl5", 36.13),
        ("slow_r50_gc5", 34.30),
        ("slow_r50_gc_all", 42.45),
    ],
)
def test_the_five_rows_have_the_papers_parameters(row, millions):
    """GCNet, arXiv:1904.11492, table 5."""
    assert num_parameters(paper_network(row)) / 1e6 == pytest.approx(millions, abs=0.01)
    assert PAPER_ROWS[row].parameters_millions == millions


def test_slow_r50_with_and_without_nl_has_mmaction2s_parameters_to_the_last_one():
    """MMAction2's model zoo; its non-local blocks have no bias on W_z."""
    biases = 2 * 512 + 3 * 1024
    assert num_parameters(paper_network("slow_r50")) == 32454096
    assert num_parameters(paper_network("slow_r50_nl5")) - biases == 39808464


@pytest.mark.parametrize(
    ("architecture", "depth", "millions"),
    # pytorchvideo's model zoo; MMAction2's for R101.
    [("i3d", 50, 28.04), ("c2d", 50, 24.33), ("slow", 50, 32.45), ("slow", 101, 60.359120)],
)
def test_bare_networks_have_the_zoos_parameters(architecture, depth, millions):
    network = partial(VideoResNet, architecture=architecture, depth=depth)
    assert num_parameters(network) / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize(
    ("network", "millions"), [(R2Plus1D, 28.11), (CSN, 22.21), (SlowFast, 34.57)], ids=["r50", "r101", "r50"]
)
def test_other_families_have_the_parameters_of_pytorchvideos_zoo(network, millions):
    assert num_parameters(network) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize(
    ("architecture", "depth", "parameters"),
    [
        # torchvision's ResNet-18 and 34.
        ("c2d", 18, 11689512),
        ("c2d", 34, 21797672),
        # Two temporal steps more in the first convolutions of res4 and res5, 2 and 2 or 6 and 3.
        ("slow", 18, 11689512 + 2 * 9 * (128 * 256 + 256**2 + 256 * 512 + 512**2)),
        ("slow", 34, 21797672 + 2 * 9 * (128 * 256 + 5 * 256**2 + 256 * 512 + 2 * 512**2)),
    ],
)
def test_networks_of_basic_blocks_have_torchvisions_parameters(architecture, depth, parameters):
    network = partial(VideoResNet, architecture=architecture, depth=depth)
    assert num_parameters(network, 1000) == parameters


@pytest.mark.parametrize(
    ("network", "weights"),
    [
        (partial(TorchvisionResNet, name="r3d_18"), video.R3D_18_Weights),
        (partial(TorchvisionResNet, name="mc3_18"), video.MC3_18_Weights),
        (partial(TorchvisionResNet, name="r2plus1d_18"), video.R2Plus1D_18_Weights),
        (S3D, video.S3D_Weights),
        (MViT, video.MViT_V2_S_Weights),
        (Swin3D, video.Swin3D_T_Weights),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_torchvisions_networks_have_the_parameters_that_it_publishes(network, weights):
    assert num_parameters(network) == weights.KINETICS400_V1.meta["num_params"]


@pytest.mark.parametrize(("depth_factor", "millions"), [(2.2, 3.79), (5.0, 6.15)])
def test_x3d_has_the_parameters_of_pytorchvideos_zoo(depth_factor, millions):
    assert num_parameters(partial(X3D, depth_factor=depth_factor)) / 1e6 == pytest.approx(millions, abs=0.005)


def test_gc_resnet_50_for_images_has_the_papers_parameters():
    """arXiv:1904.11492, ImageNet: 25.56 M, and 28.08 M with GC (ratio 16) in all of c3-c5."""
    bare = partial(VideoResNet, architecture="c2d", stride_on="1x1")
    everywhere = Placement(res3="all", res4="all", res5="all", position="after_1x1x1")
    with_gc = partial(bare, block=partial(GlobalContextBlock, reduction_ratio=16), placement=everywhere)
    assert num_parameters(bare, 1000) / 1e6 == pytest.approx(25.56, abs=0.01)
    assert num_parameters(with_gc, 1000) / 1e6 == pytest.approx(28.08, abs=0.01)
