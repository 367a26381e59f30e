"""Image weights inflated into video networks, on clips that stand still."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import ResNet, resnet50

from gcvideo.backbones import Placement, VideoResNet
from gcvideo.backbones.checkpoints import Weights, load_weights
from gcvideo.blocks import GlobalContextBlock, SqueezeExcitationBlock
from tests.parity.foreign import image_network_with_context
from tests.parity.weights import with_every_layer_mattering

SIDE = 64


@pytest.fixture(scope="module")
def image_network() -> ResNet:
    torch.manual_seed(0)
    return with_every_layer_mattering(resnet50())


@pytest.fixture(scope="module")
def weights(image_network, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet50-0676ba61.pth"
    torch.save(image_network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def image_features(network: ResNet, image: Tensor) -> Tensor:
    """What stands before the mean over positions: [B C H W]."""
    x = network.maxpool(network.relu(network.bn1(network.conv1(image))))
    return network.layer4(network.layer3(network.layer2(network.layer1(x))))


@torch.inference_mode()
def clip_features(network: VideoResNet, image: Tensor, *, num_frames: int) -> Tensor:
    """The same of a clip that stands still: [B C T H W]."""
    return nn.Sequential(*network.blocks[:-1])(image.unsqueeze(2).repeat(1, 1, num_frames, 1, 1))


def inflated(path: Path, *, new: Sequence[str] = (), inflation: str = "mean", **settings) -> VideoResNet:
    network = VideoResNet(5, **settings)
    load_weights(network, Weights(path, new=list(new), inflation=inflation))
    return network.eval()


def pad_with_the_border_frames(network: VideoResNet) -> None:
    """Temporal padding by replication, where the network has zeros."""

    def replicate(frames: int, convolution: nn.Conv3d, inputs: tuple[Tensor]) -> Tensor:
        first, last = inputs[0][:, :, :1], inputs[0][:, :, -1:]
        return torch.cat([first] * frames + [inputs[0]] + [last] * frames, dim=2)

    for convolution in (module for module in network.modules() if isinstance(module, nn.Conv3d)):
        frames, *space = convolution.padding
        convolution.padding = (0, *space)
        convolution.register_forward_pre_hook(partial(replicate, frames))


@pytest.mark.parametrize("architecture", ["slow", "i3d", "c2d"])
def test_with_replicate_padding_a_still_clip_has_the_images_activations_in_every_frame(
    architecture, image_network, weights, image
):
    network = inflated(weights, architecture=architecture)
    pad_with_the_border_frames(network)
    expected = image_features(image_network, image)
    found = clip_features(network, image, num_frames=4)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected.unsqueeze(2).expand_as(found), rtol=1e-4, atol=1e-4)


def test_away_from_temporal_borders_a_still_clip_has_the_images_activations(image_network, weights, image):
    """Nine kernels of three frames look nine frames far: frame 9 of 19 sees no border, frame 0 does."""
    network = inflated(weights, architecture="slow")
    expected = image_features(image_network, image)
    found = clip_features(network, image, num_frames=19)
    torch.testing.assert_close(found[:, :, 9], expected, rtol=1e-4, atol=1e-4)
    assert (found[:, :, 0] - expected).abs().max() > 0.1


def test_the_centre_inflation_gives_every_frame_its_own_images_activations(image_network, weights, image):
    network = inflated(weights, architecture="i3d", inflation="centre")
    frames = torch.cat([image, image.flip(-1), image.flip(-2), 2 * image])
    expected = image_features(image_network, frames)
    with torch.inference_mode():
        before_pool = nn.Sequential(*network.blocks[:2])(frames.movedim(0, 1).unsqueeze(0))
        rest = nn.Sequential(*network.blocks[3:-1])(before_pool)  # without the temporal pool
    torch.testing.assert_close(rest[0].movedim(1, 0), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_timms_resnet_101_is_inflated_as_well(image, tmp_path):
    torch.manual_seed(0)
    theirs = with_every_layer_mattering(timm.create_model("resnet101", num_classes=0))
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "timm.pth")
    network = inflated(tmp_path / "timm.pth", architecture="slow", depth=101)
    pad_with_the_border_frames(network)
    with torch.inference_mode():
        expected = theirs.forward_features(image)
    found = clip_features(network, image, num_frames=2)
    assert expected.std() > 0.1
    torch.testing.assert_close(found[:, :, 0], expected, rtol=1e-4, atol=1e-4)


def with_blocks_that_matter(network: nn.Module, name: str) -> nn.Module:
    """Every layer far from its start, those of context blocks too."""
    with_every_layer_mattering(network)
    for path, module in network.named_modules():
        if name in path and hasattr(module, "weight"):
            nn.init.normal_(module.weight, std=0.05)
            nn.init.normal_(module.bias, std=0.05)
    return network


@pytest.mark.parametrize(
    ("prefix", "fusions", "fusion"),
    [
        ("", ["channel_add"], "add"),
        ("backbone.", ["channel_add"], "add"),
        ("", ["channel_mul"], "scale"),
        ("backbone.", ["channel_mul"], "scale"),
        ("backbone.", ["channel_add", "channel_mul"], "both"),
    ],
)
def test_image_blocks_for_global_context_become_those_of_clips(
    prefix, fusions, fusion, image, tmp_path, caplog
):
    torch.manual_seed(0)
    theirs = with_blocks_that_matter(image_network_with_context(1 / 16, *fusions), "context_block")
    state = {prefix + key: tensor for key, tensor in theirs.state_dict().items()}
    if prefix:  # a detector: no classes of images, but necks and heads of its own
        state = {key: tensor for key, tensor in state.items() if ".fc." not in key}
        state["neck.lateral_convs.0.conv.weight"] = state["rpn_head.rpn_conv.bias"] = torch.zeros(3)
    torch.save({"state_dict": state}, tmp_path / "gcnet.pth")
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        network = inflated(
            tmp_path / "gcnet.pth",
            block=partial(GlobalContextBlock, reduction_ratio=16, fusion=fusion),
            placement=Placement(res3="all", res4="all", res5="all", position="after_1x1x1"),
        )
    left = "2 (neck, rpn_head)" if prefix else "2 (head)"
    assert f"2 (head) start fresh; {left} of the file left behind" in caplog.text
    assert "compare data.mean, data.std" in caplog.text
    assert_still_clips_have_the_images_activations(network, image_features(theirs, image), image)
    without = with_every_layer_mattering(resnet50(num_classes=10))
    without.load_state_dict(
        {k: v for k, v in theirs.state_dict().items() if "context" not in k}, strict=False
    )
    assert (image_features(without, image) - image_features(theirs, image)).abs().max() > 0.1


def assert_still_clips_have_the_images_activations(
    network: VideoResNet, expected: Tensor, image: Tensor
) -> None:
    pad_with_the_border_frames(network)
    found = clip_features(network, image, num_frames=3)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected.unsqueeze(2).expand_as(found), rtol=1e-4, atol=1e-4)


def test_timms_squeeze_and_excitation_becomes_that_of_clips(image, tmp_path):
    torch.manual_seed(0)
    theirs = with_blocks_that_matter(timm.create_model("seresnet50", num_classes=9), ".se.")
    torch.save({"arch": "seresnet50", "state_dict": theirs.state_dict()}, tmp_path / "seresnet50.pth")
    network = inflated(
        tmp_path / "seresnet50.pth",
        block=SqueezeExcitationBlock,
        placement=Placement(res2="all", res3="all", res4="all", res5="all", position="after_1x1x1"),
    )
    with torch.inference_mode():
        expected = theirs.forward_features(image)
    assert_still_clips_have_the_images_activations(network, expected, image)
    with pytest.raises(ValueError, match="the context blocks differ"):
        inflated(tmp_path / "seresnet50.pth")
    inflated(tmp_path / "seresnet50.pth", new=["blocks"])  # as the message says


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet50d", r"a stem of several convolutions .* and shortcuts that pool first \(ResNet-D\)"),
        ("gcresnet50t", "a stem of several convolutions .* and global-context blocks of timm"),
        ("seresnet50t", "a stem of several convolutions"),
        ("ecaresnet50d", "efficient channel attention"),
        ("resnest50d", "split attention"),
        ("skresnet50", "selective kernels"),
        ("legacy_seresnet50", "the strides of timm's legacy SE networks"),
        ("resnext50_32x4d", "convolutions in 32 groups"),
        ("wide_resnet50_2", "wide bottlenecks"),
        ("resnetblur50", r"pools for strides \(resnetblur50\)"),
    ],
)
def test_networks_of_timm_that_none_here_is_are_told_why(name, said, tmp_path):
    with torch.device("meta"):
        theirs = timm.create_model(name, num_classes=5)
    state = {key: torch.zeros(tensor.shape) for key, tensor in theirs.state_dict().items()}
    torch.save({"arch": name, "state_dict": state}, tmp_path / "timm.pth")
    with pytest.raises(ValueError, match=f"its network has .*{said}") as refused:
        inflated(tmp_path / "timm.pth", width=1 / 16)
    assert "\n" not in str(refused.value)
    assert "weights.new" not in str(refused.value)


def test_an_image_block_that_adds_is_refused_by_one_that_scales(tmp_path):
    torch.save(image_network_with_context(1 / 4).state_dict(), tmp_path / "gcnet.pth")
    with pytest.raises(ValueError, match=r"fusion scale.*trained with add"):
        inflated(
            tmp_path / "gcnet.pth",
            block=partial(GlobalContextBlock, reduction_ratio=4, fusion="scale"),
            placement=Placement(res3="all", res4="all", res5="all", position="after_1x1x1"),
        )
