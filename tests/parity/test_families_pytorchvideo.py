"""R(2+1)D, CSN and SlowFast against pytorchvideo's builders, with pytorchvideo's own state dicts."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from pytorchvideo.models.csn import create_csn
from pytorchvideo.models.r2plus1d import create_r2plus1d
from pytorchvideo.models.slowfast import create_slowfast
from torch import Tensor, nn

from gcvideo.backbones import CSN, R2Plus1D, SlowFast, VideoResNet
from gcvideo.backbones.checkpoints import Weights, load_weights, read_checkpoint, recognise, write_naming
from gcvideo.blocks import GlobalContextBlock
from tests.parity.weights import with_every_layer_mattering

WIDTH, SIDE = 0.125, 64
CLASSES = 5


class Family:
    """Ours, pytorchvideo's whose head fits a clip of the size, and what pytorchvideo's reads of a clip."""

    def __init__(
        self, ours: Callable[..., nn.Module], theirs: Callable[..., nn.Module], frames: int, reads: Any = None
    ) -> None:
        self.ours = partial(ours, CLASSES, depth=50, width=WIDTH)
        self.theirs = partial(theirs, model_depth=50, model_num_class=CLASSES)
        self.frames = frames
        self.reads = reads or (lambda clip: clip)


def pack(clip: Tensor) -> list[Tensor]:
    """PySlowFast's pack_pathway_output, which pytorchvideo's tutorial repeats."""
    frames = clip.shape[2]
    slow = torch.index_select(clip, 2, torch.linspace(0, frames - 1, frames // 4).long())
    return [slow, clip]


FAMILIES = {
    "r2plus1d": Family(
        R2Plus1D,
        partial(create_r2plus1d, stem_dim_out=8, head_pool_kernel_size=(2, 2, 2), head_activation=None),
        frames=8,
    ),
    "csn": Family(
        CSN,
        partial(create_csn, stem_dim_out=8, stem_pool=nn.MaxPool3d, head_pool_kernel_size=(1, 2, 2)),
        frames=8,
    ),
    "slowfast": Family(
        SlowFast,
        partial(create_slowfast, stem_dim_outs=(8, 1), head_pool_kernel_sizes=((4, 2, 2), (16, 2, 2))),
        frames=16,
        reads=pack,
    ),
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request) -> Family:
    return FAMILIES[request.param]


def clip(frames: int) -> Tensor:
    return torch.randn(2, 3, frames, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def test_logits_equal_pytorchvideos_with_its_state_dict(family):
    torch.manual_seed(0)
    theirs = with_every_layer_mattering(family.theirs())
    ours = family.ours().eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict(), strict=True)
    view = clip(family.frames)
    with torch.inference_mode():
        found, expected = ours(view), theirs(family.reads(view))
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_blocks_are_placed_by_the_same_words_and_change_no_logit_at_the_start(family):
    torch.manual_seed(0)
    bare = with_every_layer_mattering(family.ours())
    placed = family.ours(
        block=GlobalContextBlock, placement={"res3": 2, "res4": [0], "position": "after_1x1x1"}
    )
    placed.load_state_dict(bare.state_dict(), strict=False)
    assert placed.context_places == ["res3.1", "res3.3", "res4.0"]
    assert placed.placed == "3 context blocks (GlobalContextBlock) after_1x1x1: res3.1, res3.3, res4.0"
    added = placed.state_dict().keys() - bare.state_dict().keys()
    assert len({key.partition(".context.")[0] for key in added}) == 3
    view = clip(family.frames)
    with torch.inference_mode():
        assert torch.equal(placed.eval()(view), bare(view))
        logits = placed.blocks[-1].proj(placed.features(view))
        torch.testing.assert_close(logits, bare(view), rtol=1e-4, atol=1e-5)


def test_a_file_of_pytorchvideos_is_recognised_loaded_and_refused_by_other_networks(
    request, family, tmp_path
):
    name = request.node.callspec.params["family"]
    theirs, path = family.theirs(), tmp_path / "16x4.pyth"
    torch.save({"model_state": theirs.state_dict()}, path)
    source = recognise(read_checkpoint(path))
    assert str(source).startswith(f"pytorchvideo naming, {name} R50 at width 0.125, 5 classes")
    assert source.named.unknown == {}
    assert write_naming(source.named.state, source.format).keys() == theirs.state_dict().keys()

    ours = family.ours()
    load_weights(ours, Weights(path))
    assert all(torch.equal(ours.state_dict()[key], tensor) for key, tensor in theirs.state_dict().items())
    other = family.ours.func(3, depth=50, width=WIDTH, block=GlobalContextBlock, placement={"res3": [1]})
    load_weights(other, Weights(path, new=["head", "blocks"]))
    shared = [key for key in theirs.state_dict() if "proj" not in key]
    assert all(torch.equal(other.state_dict()[key], theirs.state_dict()[key]) for key in shared)
    said = f"trained with {name}; set network to gcvideo.backbones.{family.ours.func.__name__}"
    with pytest.raises(ValueError, match=said):
        load_weights(VideoResNet(CLASSES, width=WIDTH), Weights(path))


def test_the_slow_pathway_reads_the_frames_that_pyslowfast_picks():
    network = SlowFast(2, width=WIDTH)
    for frames in range(4, 132, 4):
        numbered = (
            torch.arange(frames, dtype=torch.float32).view(1, 1, frames, 1, 1).expand(1, 3, frames, 1, 1)
        )
        slow, fast = network.inputs(numbered)
        assert torch.equal(slow, pack(numbered)[0])
        assert fast is numbered
    with pytest.raises(ValueError, match="every 4th frame of a clip of 6; expected a multiple of 4 frames"):
        network(torch.zeros(1, 3, 6, 32, 32))


def test_blocks_stand_in_the_fast_pathway_where_that_is_asked():
    settings = {"block": partial(GlobalContextBlock, reduction_ratio=1), "fast_placement": {"res5": [2]}}
    network = SlowFast(2, width=WIDTH, placement={"res4": [1]}, **settings)
    assert network.context_places == ["res4.1", "fast.res5.2"]
    added = {key.partition(".context.")[0] for key in network.state_dict() if ".context." in key}
    assert added == {
        "blocks.3.multipathway_blocks.0.res_blocks.1",
        "blocks.4.multipathway_blocks.1.res_blocks.2",
    }
    assert network.eval()(torch.zeros(1, 3, 4, 32, 32)).shape == (1, 2)
    assert SlowFast(2, width=WIDTH, **settings).context_places == ["fast.res5.2"]


def test_blocks_may_have_another_position_in_each_pathway(tmp_path):
    placements = {
        "placement": {"res4": [1], "position": "after_add"},
        "fast_placement": {"res4": [1], "position": "after_1x1x1"},
    }
    settings = {"width": WIDTH, "block": partial(GlobalContextBlock, reduction_ratio=1), **placements}
    network = SlowFast(2, **settings)
    arguments = {"block": {"class_path": "gcvideo.blocks.GlobalContextBlock"}, **placements}
    content = {"state_dict": network.state_dict(), "hyper_parameters": {"network": {"init_args": arguments}}}
    torch.save(content, tmp_path / "best.ckpt")
    load_weights(SlowFast(2, **settings), Weights(tmp_path / "best.ckpt"))
    assert network.placed == (
        "1 context block (GlobalContextBlock) after_add: res4.1; "
        "1 context block (GlobalContextBlock) after_1x1x1: fast.res4.1"
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"depth": 18}, "depth is 18; expected one of 50, 101, 152"),
        ({"width": 0.3}, r"width is 0.3, which leaves 19 of 64 channels; expected a multiple of 8"),
        ({"alpha": 0}, "alpha is 0; expected at least 1"),
        ({"fast_placement": {"res5": [2]}}, "fast_placement is given without block"),
        ({"block": GlobalContextBlock}, "block is given without placement"),
    ],
)
def test_a_slowfast_network_that_cannot_be_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        SlowFast(2, **{"width": WIDTH, **settings})
