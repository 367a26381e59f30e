"""The table of video networks: arguments, shapes of features, errors."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from gcvideo.backbones import Placement, VideoResNet
from gcvideo.backbones.protocols import blocks_by_name
from gcvideo.backbones.resnet import ARCHITECTURES
from gcvideo.blocks import GlobalContextBlock


def on_meta(num_classes: int = 5, **arguments) -> Any:
    with torch.device("meta"):
        return VideoResNet(num_classes, **arguments)


def feature_shapes(network: VideoResNet, clip: torch.Tensor) -> list[tuple[int, ...]]:
    """T, H and W behind each residual stage."""
    shapes: list[tuple[int, ...]] = []
    for name, stage in network.stages.items():
        if name == "stem":
            continue
        stage.register_forward_hook(lambda _, __, features: shapes.append(tuple(features.shape[2:])))
    network(clip)
    return shapes


@pytest.mark.parametrize(
    ("architecture", "frames"),
    [
        ("slow", (8, 8, 8, 8)),
        ("i3d", (8, 4, 4, 4)),
        ("c2d", (8, 4, 4, 4)),
        ("i3d_nopool", (8, 8, 8, 8)),
        ("c2d_nopool", (8, 8, 8, 8)),
        ("i3d_strided", (2, 1, 1, 1)),
    ],
)
@pytest.mark.parametrize("stride_on", ["3x3", "1x1"])
def test_stages_halve_the_side_and_halve_the_frames_where_the_architecture_does(
    architecture, frames, stride_on
):
    network = on_meta(architecture=architecture, stride_on=stride_on)
    shapes = feature_shapes(network, torch.zeros(1, 3, 8, 224, 224, device="meta"))
    # The pool that halves the frames stands behind res2.
    assert shapes == [(t, s, s) for t, s in zip(frames, (56, 28, 14, 7), strict=True)]


def test_a_stem_without_padding_in_its_pool_leaves_one_position_less():
    shapes = feature_shapes(
        on_meta(architecture="c2d_unpadded"), torch.zeros(1, 3, 8, 224, 224, device="meta")
    )
    assert shapes == [(8, 55, 55), (4, 28, 28), (4, 14, 14), (4, 7, 7)]


@pytest.mark.parametrize(
    ("architecture", "along_time"),
    [
        ("c2d", []),
        ("i3d", ["res2.0", "res2.1", "res2.2", "res3.0", "res3.2", "res4.0", "res4.2", "res4.4", "res5.1"]),
        ("slow", [f"res4.{i}" for i in range(6)] + [f"res5.{i}" for i in range(3)]),
    ],
)
def test_convolutions_along_time_stand_where_the_papers_have_them(architecture, along_time):
    network = on_meta(architecture=architecture)
    found = [
        name
        for name, residual in blocks_by_name(network.stages).items()
        if residual.branch2.conv_a.kernel_size == (3, 1, 1)
    ]
    assert found == along_time
    assert network.blocks[0].conv.kernel_size == ((5, 7, 7) if architecture == "i3d" else (1, 7, 7))


@pytest.mark.parametrize(
    ("depth", "blocks"), [(50, [3, 4, 6, 3]), (101, [3, 4, 23, 3]), (152, [3, 8, 36, 3])]
)
def test_the_depth_sets_the_number_of_residual_blocks(depth, blocks):
    stages = on_meta(depth=depth).stages
    assert list(stages) == ["stem", "res2", "res3", "res4", "res5"]
    assert [len(stages[name].res_blocks) for name in list(stages)[1:]] == blocks


def test_the_stride_is_on_the_convolution_that_was_asked_for():
    for stride_on, strides in {"3x3": ((1, 1, 1), (1, 2, 2)), "1x1": ((1, 2, 2), (1, 1, 1))}.items():
        branch = on_meta(stride_on=stride_on).stages["res3"].res_blocks[0].branch2
        assert (branch.conv_a.stride, branch.conv_b.stride) == strides


def test_the_width_scales_every_number_of_channels():
    wide, narrow = on_meta().state_dict(), on_meta(width=0.25).state_dict()
    assert wide.keys() == narrow.keys()
    for key in wide:
        if key.endswith("conv.weight") or "branch2.conv" in key:
            assert wide[key].shape[0] == 4 * narrow[key].shape[0], key


def test_a_clip_of_any_length_and_side_gives_logits():
    for architecture in ARCHITECTURES:
        network = on_meta(architecture=architecture)
        for frames, side in ((1, 32), (9, 65)):
            clip = torch.zeros(2, 3, frames, side, side, device="meta")
            assert network(clip).shape == (2, 5)


def test_dropout_acts_in_training_only_and_on_the_features_of_the_last_layer():
    torch.manual_seed(0)
    network: Any = VideoResNet(3, width=0.125, dropout=1.0)
    clip = torch.randn(1, 3, 2, 32, 32)
    with torch.no_grad():
        bias = network.blocks[-1].proj.bias
        assert torch.equal(network.train()(torch.cat([clip, clip])), bias.expand(2, -1))
        evaluated = network.eval()(clip)
        assert torch.equal(evaluated, network(clip))
        assert not torch.allclose(evaluated, bias)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 51}, "depth is 51; expected one of 18, 34, 50, 101, 152"),
        ({"width": 0.05}, "width is 0.05, which leaves 3 of 64 channels; at least 4"),
        ({"block": GlobalContextBlock}, "block is given without placement"),
        ({"placement": Placement(res3=[1])}, "placement is given without block"),
        (
            {"block": GlobalContextBlock, "placement": Placement(res4=[6])},
            r"placement\.res4 names block 6, but res4 has blocks 0\.\.5",
        ),
        (
            {"block": GlobalContextBlock, "placement": Placement()},
            "placement names no residual block",
        ),
    ],
)
def test_a_network_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        on_meta(**arguments)


def test_residual_branches_start_at_zero_unless_asked_otherwise() -> None:
    def last_norms(network: VideoResNet) -> list[torch.Tensor]:
        return [value for name, value in network.state_dict().items() if name.endswith("norm_c.weight")]

    assert all(not weight.any() for weight in last_norms(VideoResNet(2, width=0.0625)))
    started_at_one = last_norms(VideoResNet(2, width=0.0625, zero_init_residual=False))
    assert len(started_at_one) == 16
    assert all((weight == 1).all() for weight in started_at_one)


def test_features_are_what_the_last_layer_reads() -> None:
    network = VideoResNet(5, width=0.0625).eval()
    clip = torch.randn(2, 3, 4, 48, 32)
    with torch.inference_mode():
        assert torch.allclose(network.blocks[-1].proj(network.features(clip)), network(clip), atol=1e-6)


@pytest.mark.parametrize("architecture", ["slow", pytest.param("i3d", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "block", ["GlobalContextBlock", pytest.param("NonLocalBlock", marks=pytest.mark.slow)]
)
def test_a_training_step_is_traced_whole_and_without_unknown_sizes(architecture: str, block: str) -> None:
    """In a process of its own: functions whose shapes are checked, as in tests, are not traced."""
    command = [sys.executable, "-m", "tests.backbones.traced", architecture, block]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True)
