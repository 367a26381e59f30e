"""Where context blocks stand, and that they run there."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from pytorchvideo.models.resnet import ResBlock
from torch import Tensor, nn

from gcvideo.backbones import ContextResBlock, Placement, VideoResNet, place
from gcvideo.backbones.protocols import blocks_by_name
from gcvideo.blocks import (
    Add,
    GlobalContextBlock,
    NonLocalBlock,
    SimplifiedNonLocalBlock,
    SqueezeExcitationBlock,
)

ADDITIVE = {
    "nl gaussian": partial(NonLocalBlock, instantiation="gaussian"),
    "nl embedded gaussian": partial(NonLocalBlock, instantiation="embedded_gaussian"),
    "nl dot product": partial(NonLocalBlock, instantiation="dot_product"),
    "nl concat": partial(NonLocalBlock, instantiation="concat"),
    "snl": SimplifiedNonLocalBlock,
    "gc": GlobalContextBlock,
}
POSITIONS = ["after_add", "after_1x1x1"]
SEVERAL = {"res3": [1, 3], "res4": [0, 5], "res5": "all"}


def small(**arguments) -> VideoResNet:
    """A quarter of the width, no dropout, the same weights every time, all of which matter.

    pytorchvideo zeroes the last norm of every residual branch; with those zeros a context block before
    the addition would read and change nothing.
    """
    torch.manual_seed(0)
    network = VideoResNet(5, width=0.125, dropout=0.0, **arguments)
    for name, parameter in network.named_parameters():
        if ".context." not in name and "norm" in name:
            generator = torch.Generator().manual_seed(sum(map(ord, name)))
            with torch.no_grad():
                parameter.copy_(0.5 + torch.rand(parameter.shape, generator=generator))
    return network


def with_blocks_in(network: VideoResNet, block, placement: Placement) -> VideoResNet:
    """A copy of `network` with the blocks, which begin where their own initialisation leaves them."""
    copied = copy.deepcopy(network)
    place(block, copied.stages, placement)
    return copied


@pytest.fixture(scope="module")
def bare() -> VideoResNet:
    return small()


@pytest.fixture(scope="module")
def clips() -> Tensor:
    return torch.randn(2, 3, 4, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("block", ADDITIVE.values(), ids=ADDITIVE)
def test_an_additive_block_leaves_the_logits_to_the_bit_until_a_step_is_made(bare, clips, block, position):
    placed = with_blocks_in(bare, block, Placement(**SEVERAL, position=position))
    with torch.no_grad():
        before = bare.eval()(clips)
        assert torch.equal(placed.eval()(clips), before)
        trained = copy.deepcopy(placed).train()
        assert torch.equal(trained(clips), copy.deepcopy(bare).train()(clips))

    contexts = [p for name, p in placed.named_parameters() if ".context." in name]
    placed(clips).square().sum().backward()
    torch.optim.SGD(contexts, lr=1.0).step()
    with torch.no_grad():
        assert not torch.allclose(placed(clips), before)


@pytest.mark.parametrize("position", POSITIONS)
def test_a_gate_changes_the_logits_from_the_start(bare, clips, position):
    block = partial(SqueezeExcitationBlock, reduction_ratio=4)
    placed = with_blocks_in(bare, block, Placement(res3=[1], position=position))
    with torch.no_grad():
        assert not torch.allclose(placed.eval()(clips), bare.eval()(clips))


@pytest.mark.parametrize("position", POSITIONS)
def test_every_placed_block_runs_once_and_every_other_residual_block_stays(position):
    network = small(block=GlobalContextBlock, placement=Placement(**SEVERAL, position=position))
    calls: list[str] = []
    for name, residual in blocks_by_name(network.stages).items():
        if isinstance(residual, ContextResBlock):
            residual.context.register_forward_hook(lambda *_, name=name: calls.append(name))
        else:
            assert type(residual) is ResBlock
    network(torch.zeros(1, 3, 2, 32, 32))
    assert calls == ["res3.1", "res3.3", "res4.0", "res4.5", "res5.0", "res5.1", "res5.2"]
    assert network.context_places == calls


class Negate(nn.Module):
    """Stands for a context block, and keeps what it read."""

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        return -x


@pytest.mark.parametrize("index", [0, 1], ids=["with a projected shortcut", "with an identity shortcut"])
@pytest.mark.parametrize("position", POSITIONS)
def test_a_block_stands_behind_the_addition_or_before_it(bare, position, index):
    plain = copy.deepcopy(bare).eval().stages["res3"].res_blocks[index]
    network = with_blocks_in(bare, Negate, Placement(res3=[index], position=position)).eval()
    residual = network.stages["res3"].res_blocks[index]
    x = torch.randn(2, 32 if index == 0 else 64, 2, 8, 8, generator=torch.Generator().manual_seed(2))

    with torch.no_grad():
        z = residual(x)
        branch = plain.branch2(x)
        shortcut = plain.branch1_norm(plain.branch1_conv(x)) if index == 0 else x
    assert isinstance(residual, ContextResBlock)
    assert residual.context.channels == 64
    expected = {
        "after_add": (-(shortcut + branch).relu(), (shortcut + branch).relu()),
        "after_1x1x1": ((shortcut - branch).relu(), branch),
    }
    torch.testing.assert_close(z, expected[position][0])
    torch.testing.assert_close(residual.context.seen, expected[position][1])


@pytest.mark.parametrize("position", POSITIONS)
def test_old_state_dict_keys_stay_and_every_new_one_is_under_context(bare, position):
    placed = with_blocks_in(bare, GlobalContextBlock, Placement(**SEVERAL, position=position))
    old, new = bare.state_dict(), placed.state_dict()
    added = new.keys() - old.keys()
    assert old.keys() <= new.keys()
    assert added
    assert all(".context." in key for key in added)
    assert all(torch.equal(new[key], value) for key, value in old.items())


def test_all_of_c3_to_c5_is_thirteen_blocks_at_depth_50():
    everywhere = Placement(res3="all", res4="all", res5="all", position="after_1x1x1")
    with torch.device("meta"):
        network: Any = VideoResNet(5, block=GlobalContextBlock, placement=everywhere)
    expected = {"res3": 4, "res4": 6, "res5": 3}
    assert network.context_places == [f"{s}.{i}" for s, depth in expected.items() for i in range(depth)]
    channels = [
        blocks.res_blocks[0].context.transform.expand.out_features
        for stage, blocks in network.stages.items()
        if stage in expected
    ]
    assert channels == [512, 1024, 2048]


@pytest.mark.parametrize(
    ("depth", "in_res4"), [(50, [1, 3, 5]), (101, [6, 13, 20])], ids=["every second", "every seventh"]
)
def test_a_number_of_blocks_stands_where_video_nonlocal_net_puts_them(depth, in_res4):
    """Every second residual block, and in the longer res4 of R101 every seventh."""
    with torch.device("meta"):
        network = VideoResNet(5, depth=depth, block=GlobalContextBlock, placement={"res3": 2, "res4": 3})
    assert network.context_places == ["res3.1", "res3.3", *(f"res4.{index}" for index in in_res4)]


def test_a_block_can_stand_in_res2():
    network = small(block=GlobalContextBlock, placement=Placement(res2=[2]))
    assert network.context_places == ["res2.2"]


def test_a_network_says_how_many_blocks_were_placed_and_where():
    network = small(block=GlobalContextBlock, placement=Placement(res3=[1, 3], res4=[1, 3, 5]))
    assert (
        network.placed
        == "5 context blocks (GlobalContextBlock) after_add: res3.1, res3.3, res4.1, res4.3, res4.5"
    )
    assert small().placed == "no context block"


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        (Placement(res4=[5, 6]), r"placement\.res4 names block 6, but res4 has blocks 0\.\.5"),
        (Placement(res3=[-1]), r"placement\.res3 names block -1, but res3 has blocks 0\.\.3"),
        (Placement(res3=[1, 3, 1]), r"placement\.res3 names a block twice: \[1, 3, 1\]"),
        (Placement(), "placement names no residual block; name some"),
    ],
)
def test_a_placement_that_cannot_be_is_refused_and_places_nothing(bare, placement, message):
    network = copy.deepcopy(bare)
    with pytest.raises(ValueError, match=message):
        place(GlobalContextBlock, network.stages, placement)
    assert network.state_dict().keys() == bare.state_dict().keys()


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (Add, "block Add cannot be made for 64 channels: .*; expected a class whose first argument"),
        (lambda channels: channels, "block <lambda> makes a int; expected a module"),
    ],
)
def test_what_makes_no_block_for_a_number_of_channels_is_refused(bare, block, said):
    with pytest.raises(ValueError, match=said):
        place(block, copy.deepcopy(bare).stages, Placement(res3=[1]))


def test_a_placement_may_be_a_mapping_as_in_a_configuration():
    network = small(block=GlobalContextBlock, placement={"res3": [1], "res5": "all"})
    assert network.context_places == ["res3.1", "res5.0", "res5.1", "res5.2"]


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        ({"res3": [1], "res6": "all"}, "placement names res6; expected res2, res3, res4, res5, position"),
        (
            {"res3": True},
            r"placement.res3 is True; expected a list of .*, as \[1, 3\], how many of them, or all",
        ),
        ({"res3": 5}, "placement.res3 asks for 5 blocks, but res3 has 4"),
        ({"res3": -1}, "placement.res3 asks for -1 blocks"),
        ({"res3": 0}, "placement names no residual block"),
        ({"res3": "1"}, "placement.res3 is '1'; expected a list"),
        ({"res3": [4]}, "placement.res3 names block 4, but res3 has blocks 0..3"),
        (
            {"res3": [1], "position": "before"},
            "placement.position is 'before'; expected after_add or after_1x1x1",
        ),
    ],
)
def test_a_mapping_that_is_no_placement_says_what_it_wants(placement, said):
    with pytest.raises(ValueError, match=said) as refused:
        small(block=GlobalContextBlock, placement=placement)
    assert "\n" not in str(refused.value)
