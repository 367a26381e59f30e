"""Finding context blocks, and naming them."""

import pytest
import torch
from torch import nn

from gcvideo.attention import choose_blocks, context_blocks, context_name, record_inputs
from gcvideo.backbones import Placement, VideoResNet
from gcvideo.blocks import GlobalContextBlock, NonLocalBlock, SimplifiedNonLocalBlock, SqueezeExcitationBlock


@pytest.fixture(scope="module")
def network() -> VideoResNet:
    placement = Placement(res3=[1, 3], res4=[5])
    return VideoResNet(5, width=0.0625, block=GlobalContextBlock, placement=placement).eval()


def test_blocks_are_named_as_they_were_placed(network: VideoResNet) -> None:
    assert list(context_blocks(network)) == network.context_places == ["res3.1", "res3.3", "res4.5"]


def test_blocks_of_other_networks_have_their_module_names() -> None:
    network = nn.Sequential(nn.Identity(), nn.Sequential(NonLocalBlock(4)))
    assert list(context_blocks(network)) == ["1.0"]


def test_named_blocks_come_in_the_order_asked_for(network: VideoResNet) -> None:
    assert list(choose_blocks(network, ["res4.5", "res3.1"])) == ["res4.5", "res3.1"]
    assert list(choose_blocks(network, None)) == ["res3.1", "res3.3", "res4.5"]


def test_a_block_that_does_not_exist_is_refused(network: VideoResNet) -> None:
    with pytest.raises(ValueError, match=r"no context block 'res4.3'; this network has res3.1, res3.3, "):
        choose_blocks(network, ["res4.3"])


def test_a_network_without_context_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="this VideoResNet has no context blocks"):
        choose_blocks(VideoResNet(5, width=0.0625), None)


@pytest.mark.parametrize(
    ("block", "name"),
    [
        (NonLocalBlock(4, instantiation="gaussian", inner_channels=4), "Gaussian"),
        (NonLocalBlock(4), "embedded Gaussian"),
        (NonLocalBlock(4, instantiation="dot_product"), "dot product"),
        (NonLocalBlock(4, instantiation="concat"), "concat"),
        (SimplifiedNonLocalBlock(4), "attention pooling"),
        (SqueezeExcitationBlock(4, reduction_ratio=2), "average pooling"),
    ],
)
def test_contexts_have_the_papers_names(block: nn.Module, name: str) -> None:
    assert context_name(block.context) == name


def test_what_a_block_is_given_is_kept(network: VideoResNet) -> None:
    blocks = context_blocks(network)
    clip = torch.randn(1, 3, 2, 32, 32)
    with torch.inference_mode(), record_inputs(blocks) as inputs:
        network(clip)
    # The input of the block behind a residual block is what that residual block alone gives.
    bare = network.stages["res3"].res_blocks
    with torch.inference_mode():
        x = bare[0](network.stages["res2"](network.blocks[0](clip)))
        expected = super(type(bare[1]), bare[1]).forward(x)
    torch.testing.assert_close(inputs["res3.1"], expected)
    assert not any(block._forward_pre_hooks for block in blocks.values())
