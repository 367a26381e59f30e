"""Global context and squeeze-excitation against timm's blocks for images: a clip at T = 1."""

import pytest
import torch
from timm.layers.global_context import GlobalContext
from timm.layers.squeeze_excite import SEModule
from torch import Tensor, nn

from gcvideo.blocks import Bottleneck, GlobalContextBlock, SqueezeExcitationBlock
from tests.blocks.inputs import features, with_random_weights


def linear(conv: nn.Conv2d) -> dict[str, Tensor]:
    return {"weight": conv.weight.flatten(1), "bias": conv.bias}


def adopt(bottleneck: Bottleneck, theirs: nn.Module) -> None:
    bottleneck.reduce.load_state_dict(linear(theirs.fc1))
    bottleneck.expand.load_state_dict(linear(theirs.fc2))


def assert_equal_on_images_and_single_frames(block: nn.Module, theirs: nn.Module) -> None:
    x = features(2, 16, 3, 5)
    torch.testing.assert_close(block(x), theirs(x))
    torch.testing.assert_close(block(x[:, :, None]), theirs(x)[:, :, None])


@pytest.mark.parametrize("pooling", ["attention", "average"])
@pytest.mark.parametrize("fusion", ["add", "scale", "both"])
def test_the_global_context_block_equals_timms(fusion, pooling):
    theirs = with_random_weights(
        GlobalContext(
            16,
            use_attn=pooling == "attention",
            fuse_add=fusion != "scale",
            fuse_scale=fusion != "add",
            rd_ratio=1 / 4,
        )
    )
    block = GlobalContextBlock(16, reduction_ratio=4, pooling=pooling, fusion=fusion).double()
    if pooling == "attention":
        block.context.key.load_state_dict(linear(theirs.conv_attn))
    branches = {
        "add": [theirs.mlp_add],
        "scale": [theirs.mlp_scale],
        "both": [theirs.mlp_scale, theirs.mlp_add],
    }[fusion]
    bottlenecks = block.transform.transforms if fusion == "both" else [block.transform]
    for bottleneck, branch in zip(bottlenecks, branches, strict=True):
        adopt(bottleneck, branch)
        bottleneck.norm.load_state_dict(branch.norm.state_dict())
        bottleneck.norm.eps = branch.norm.eps  # 1e-6 there; 1e-5, torch's, in the paper's code

    assert_equal_on_images_and_single_frames(block, theirs)


def test_the_squeeze_excitation_block_equals_timms():
    theirs = with_random_weights(SEModule(16, rd_ratio=1 / 4, rd_divisor=1))
    block = SqueezeExcitationBlock(16, reduction_ratio=4).double()
    adopt(block.transform, theirs)
    assert_equal_on_images_and_single_frames(block, theirs)
