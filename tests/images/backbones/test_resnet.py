"""Backbones of pictures, held to torchvision's networks and to published counts."""

from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models import resnet
from torchvision.models._utils import IntermediateLayerGetter

from gcvideo.blocks import GlobalContextBlock, NonLocalBlock
from gcvideo.images.backbones import ContextResNet, ImagePlacement
from gcvideo.images.classification import ClassificationNetwork

ALL = ImagePlacement(c3="all", c4="all", c5="all")
R16, R4 = (partial(GlobalContextBlock, reduction_ratio=ratio) for ratio in (16, 4))
X101 = {"depth": 101, "groups": 32, "width_per_group": 4}
DEFORMABLE = {"deformable": ("c3", "c4", "c5")}
# https://github.com/open-mmlab/mmdetection, configs/gcnet: what its classes sum up to
BACKBONES = [
    ({"depth": 50}, 23_508_032, 26_029_773, 33_508_941),
    ({"depth": 101}, 42_500_160, 47_288_222, 61_461_854),
    (X101, 42_128_704, 46_916_766, 61_090_398),
    (X101 | DEFORMABLE, 44_700_508, 49_488_570, 63_662_202),
]


def num_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("settings", "bare", "ratio_16", "ratio_4"), BACKBONES)
def test_parameters_are_those_of_the_published_networks(settings, bare, ratio_16, ratio_4) -> None:
    with torch.device("meta"):
        assert num_parameters(ContextResNet(**settings)) == bare
        assert num_parameters(ContextResNet(**settings, block=R16, placement=ALL)) == ratio_16
        assert num_parameters(ContextResNet(**settings, block=R4, placement=ALL)) == ratio_4


def test_the_classifier_has_the_papers_parameters() -> None:
    """25.56 and 28.08 M: arXiv:1904.11492, on ImageNet."""
    with torch.device("meta"):
        assert num_parameters(ClassificationNetwork(ContextResNet(), 1000)) == 25_557_032
        network = ClassificationNetwork(ContextResNet(block=R16, placement=ALL), 1000)
    assert num_parameters(network) == 28_078_773


@pytest.mark.parametrize(
    ("settings", "theirs"),
    [
        ({"depth": 18}, resnet.resnet18),
        ({"depth": 50}, resnet.resnet50),
        ({"depth": 50, "groups": 32, "width_per_group": 4}, resnet.resnext50_32x4d),
        (
            {"dilated": ("c4", "c5")},
            partial(resnet.resnet50, replace_stride_with_dilation=[False, True, True]),
        ),
    ],
    ids=["r18", "r50", "x50", "dilated"],
)
def test_maps_are_torchvisions_with_its_weights(settings, theirs) -> None:
    network = theirs().eval()
    names = {f"layer{number}": f"c{number + 1}" for number in (1, 2, 3, 4)}
    ours = ContextResNet(**settings).eval()
    ours.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("fc.")})
    pictures = torch.randn(1, 3, 65, 47)
    with torch.inference_mode():
        expected, found = IntermediateLayerGetter(network, names)(pictures), ours(pictures)
    assert list(found) == list(expected) == ["c2", "c3", "c4", "c5"]
    for name, features in found.items():
        assert features.shape[1] == ours.channels[name]
        torch.testing.assert_close(features, expected[name], rtol=0, atol=0)


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("position", ["after_add", "after_1x1"])
@pytest.mark.parametrize("block", [R16, NonLocalBlock])
def test_a_network_with_additive_blocks_starts_as_the_one_without(depth, position, block) -> None:
    placement = ImagePlacement(c3="all", c4=[1], position=position)
    network = ContextResNet(depth, width=1 / 8, block=block, placement=placement)
    bare = ContextResNet(depth, width=1 / 8)
    missing, unexpected = network.load_state_dict(bare.state_dict(), strict=False)
    assert unexpected == []
    assert all(".context." in key for key in missing)
    assert network.placed == [*(f"c3.{index}" for index in range(len(bare.layer2))), "c4.1"]
    pictures = torch.randn(2, 3, 32, 32)
    for with_blocks, without in zip(network(pictures).values(), bare(pictures).values(), strict=True):
        torch.testing.assert_close(with_blocks, without, rtol=0, atol=0)


def test_positions_are_before_and_behind_the_addition() -> None:
    """A block that gives zeros leaves the shortcut before it, and nothing behind it."""

    class Zero(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(x)

    for position in ("after_add", "after_1x1"):
        placement = ImagePlacement(c5=[2], position=position)
        stage = ContextResNet(width=1 / 16, block=Zero, placement=placement).eval().layer4
        x = torch.randn(1, 64, 4, 4)
        before = stage[1](stage[0](x))
        expected = before if position == "after_1x1" else torch.zeros_like(before)
        torch.testing.assert_close(stage(x), expected)


def test_frozen_stages_neither_train_nor_count_statistics() -> None:
    network = ContextResNet(width=1 / 16, frozen_stages=1).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.stack([features.sum() for features in network(torch.randn(2, 3, 32, 32)).values()]).sum().backward()
    with_gradient = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    moved = {name.split(".")[0] for name, v in network.state_dict().items() if not v.equal(before[name])}
    assert with_gradient == moved == {"layer2", "layer3", "layer4"}


def test_fixed_norms_keep_their_statistics_while_their_scales_train() -> None:
    network = ContextResNet(width=1 / 16, fixed_norms=True).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(torch.randn(2, 3, 32, 32))["c5"].sum().backward()
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"depth": 51}, "depth is 51; expected one of 18, 34, 50, 101, 152"),
        ({"width": 0.001}, "width is 0.001"),
        ({"frozen_stages": 5}, "frozen_stages is 5; expected 0..4"),
        ({"dilated": ["c2"]}, "dilated names c2"),
        ({"block": R16}, "block is given without placement"),
        ({"block": R16, "placement": ImagePlacement()}, "placement names no residual block"),
        (
            {"block": R16, "placement": ImagePlacement(c4=[6])},
            "placement.c4 names block 6, but c4 has blocks 0..5",
        ),
        ({"depth": 18, "deformable": ["c5"]}, "deformable convolutions need 50, 101 or 152"),
    ],
)
def test_what_there_is_not_is_refused_by_name(settings, said) -> None:
    with pytest.raises(ValueError, match=said.replace(".", r"\.")):
        ContextResNet(**settings)
