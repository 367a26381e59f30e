"""A C2D network on one frame is torchvision's image network with the same weights."""

import copy

import pytest
import torch
from torch import Tensor
from torchvision.models import ResNet, resnet50

from gcvideo.backbones import VideoResNet
from tests.parity.weights import with_every_layer_mattering

STEM = {"conv1.": "blocks.0.conv.", "bn1.": "blocks.0.norm.", "fc.": "blocks.6.proj."}
RESIDUAL = {
    "conv1.": "branch2.conv_a.",
    "bn1.": "branch2.norm_a.",
    "conv2.": "branch2.conv_b.",
    "bn2.": "branch2.norm_b.",
    "conv3.": "branch2.conv_c.",
    "bn3.": "branch2.norm_c.",
    "downsample.0.": "branch1_conv.",
    "downsample.1.": "branch1_norm.",
}
# In a C2D network the temporal pool is block 2, between res2 and res3.
STAGE_OF_LAYER = {"layer1": "blocks.1", "layer2": "blocks.3", "layer3": "blocks.4", "layer4": "blocks.5"}


def our_key(key: str) -> str:
    """layer2.0.conv1.weight of torchvision is blocks.3.res_blocks.0.branch2.conv_a.weight."""
    if not key.startswith("layer"):
        layer, _, name = key.rpartition(".")
        return STEM[f"{layer}."] + name
    stage, index, rest = key.split(".", 2)
    layer, _, name = rest.rpartition(".")
    return f"{STAGE_OF_LAYER[stage]}.res_blocks.{index}.{RESIDUAL[f'{layer}.']}{name}"


def inflated(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The 2-D state dict with a time axis of one on every convolution, under our keys."""
    return {our_key(key): value.unsqueeze(2) if value.ndim == 4 else value for key, value in state.items()}


@pytest.fixture(scope="module")
def theirs() -> ResNet:
    torch.manual_seed(0)
    network = with_every_layer_mattering(resnet50(num_classes=10))
    torch.nn.init.normal_(network.fc.weight, std=0.1)
    return network


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("stride_on", ["3x3", "1x1"])
def test_c2d_on_one_frame_is_the_image_network_with_the_stride_on_that_convolution(theirs, image, stride_on):
    theirs = copy.deepcopy(theirs)
    if stride_on == "1x1":  # as in He et al., arXiv:1512.03385
        for layer in (theirs.layer2, theirs.layer3, theirs.layer4):
            layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)
    with torch.device("meta"):
        ours = VideoResNet(10, architecture="c2d", stride_on=stride_on)
    ours.load_state_dict(inflated(theirs.state_dict()), strict=True, assign=True)
    with torch.inference_mode():
        expected, found = theirs(image), ours.eval()(image.unsqueeze(2))
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_the_two_strides_are_different_functions_of_the_same_weights(theirs, image):
    logits = []
    for stride_on in ("3x3", "1x1"):
        with torch.device("meta"):
            ours = VideoResNet(10, architecture="c2d", stride_on=stride_on)
        ours.load_state_dict(inflated(theirs.state_dict()), strict=True, assign=True)
        with torch.inference_mode():
            logits.append(ours.eval()(image.unsqueeze(2)))
    assert (logits[0] - logits[1]).abs().max() > 1e-2
