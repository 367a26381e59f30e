"""torchvision's networks for video, and X3D of pytorchvideo's, with their libraries' own state dicts."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from pytorchvideo.models.x3d import create_x3d
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.video import mvit_v2_s, swin3d_b, swin3d_t

from gcvideo.backbones import S3D, X3D, MViT, Swin3D, TorchvisionResNet, VideoResNet, placed_blocks
from gcvideo.backbones.protocols import blocks_by_name
from gcvideo.blocks import GlobalContextBlock
from tests.parity.weights import with_every_layer_mattering

CLASSES = 5
SMALL_X3D = {"width_factor": 1.0, "depth_factor": 1.0}


def random_clip(frames: int, side: int) -> Tensor:
    return torch.randn(1, 3, frames, side, side, generator=torch.Generator().manual_seed(1))


class Network:
    """Ours, the library's, what stands before its keys in ours, and clips for both and for ours."""

    def __init__(
        self,
        ours: Callable[..., Any],
        theirs: Callable[[], nn.Module],
        *,
        before: str = "net.",
        theirs_reads: tuple[int, int] | None = None,
        clip: tuple[int, int] = (4, 32),
        placement: dict[str, Any],
        places: list[str],
    ) -> None:
        self.ours = ours
        self.theirs = theirs
        self.before = before
        self.theirs_reads = theirs_reads or clip
        self.size = clip
        self.placement = placement
        self.places = places

    @property
    def clip(self) -> Tensor:
        return random_clip(*self.size)


IN_BRANCHES = {
    "placement": {"res3": [1], "res5": "all", "position": "after_1x1x1"},
    "places": ["res3.1", "res5.0", "res5.1"],
}
NETWORKS = {
    **{
        name: Network(
            partial(TorchvisionResNet, name=name),
            partial(get_model, name, num_classes=CLASSES),
            **IN_BRANCHES,
        )
        for name in ("r3d_18", "mc3_18", "r2plus1d_18")
    },
    "s3d": Network(
        S3D,
        partial(get_model, "s3d", num_classes=CLASSES),
        theirs_reads=(13, 224),
        clip=(8, 32),
        placement={"res3": 1, "res4": 3},
        places=["res3.1", "res4.0", "res4.1", "res4.2"],
    ),
    "x3d": Network(
        partial(X3D, **SMALL_X3D),
        partial(
            create_x3d,
            model_num_class=CLASSES,
            input_clip_length=4,
            input_crop_size=64,
            head_activation=None,
            **SMALL_X3D,
        ),
        before="",
        clip=(4, 64),
        placement={"res3": 1, "res4": [0, 4], "position": "after_1x1x1"},
        places=["res3.1", "res4.0", "res4.4"],
    ),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request) -> Network:
    return NETWORKS[request.param]


def loaded(network: Network) -> tuple[nn.Module, nn.Module]:
    """Both with the library's state, in evaluation."""
    torch.manual_seed(0)
    theirs = with_every_layer_mattering(network.theirs())
    ours = network.ours(CLASSES).eval()
    state = {network.before + key: tensor for key, tensor in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state, strict=True)
    return ours, theirs


def test_logits_equal_the_librarys_with_its_state_dict(network):
    ours, theirs = loaded(network)
    clip = random_clip(*network.theirs_reads)
    with torch.inference_mode():
        found, expected = ours(clip), theirs(clip)
        assert expected.std() > 1e-3
        if network.before:
            assert torch.equal(found, expected)
        else:  # whose Swish and window of the pool are others
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_blocks_are_placed_by_the_same_words_and_change_no_logit_at_the_start(network):
    ours, _ = loaded(network)
    clip = network.clip
    with torch.inference_mode():
        found = ours(clip)
        block = partial(GlobalContextBlock, reduction_ratio=4)
        placed = network.ours(CLASSES, block=block, placement=network.placement).eval()
        assert placed.context_places == network.places == list(placed_blocks(placed))
        position = network.placement.get("position", "after_add")
        places = f"{position}: {', '.join(network.places)}"
        assert placed.placed == f"{len(network.places)} context blocks (GlobalContextBlock) {places}"
        missing = placed.load_state_dict(ours.state_dict(), strict=False).missing_keys
        assert len({key.partition(".context.")[0] for key in missing}) == len(network.places)
        assert all(".context." in key for key in missing)
        assert torch.equal(placed(clip), found)
        # Each of them is on the way, in a copy too.
        placed = copy.deepcopy(placed)
        for context in placed_blocks(placed).values():
            before = placed(clip)
            nn.init.normal_(context.get_parameter("transform.expand.weight"))
            assert not torch.equal(placed(clip), before)


class Nothing(nn.Module):
    """A block that leaves nothing of what it reads."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return 0 * x


@pytest.mark.parametrize(
    "network",
    [partial(TorchvisionResNet, name="mc3_18"), partial(VideoResNet, depth=18), partial(X3D, **SMALL_X3D)],
    ids=["torchvision", "basic", "x3d"],
)
def test_a_block_stands_behind_the_addition_or_before_it(network):
    """context(relu(x + F(x))) or relu(x + context(F(x))), of a context that leaves nothing: 0 or relu(x)."""
    left = {}
    for position in ("after_add", "after_1x1x1"):
        placed = network(2, block=Nothing, placement={"res3": [1], "position": position}).eval()
        residual = blocks_by_name(placed.stages)["res3.1"]
        channels = next(layer for layer in residual.modules() if isinstance(layer, nn.Conv3d)).in_channels
        x = torch.randn(1, channels, 2, 4, 4, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            left[position] = residual(x.clone()), x.relu()
    assert not left["after_add"][0].any()
    assert torch.equal(*left["after_1x1x1"])


def test_features_are_what_the_last_layer_reads(network):
    ours, _ = loaded(network)
    with torch.inference_mode():
        features = ours.features(network.clip)
        weight, bias = ours.head.weight.flatten(1), ours.head.bias
        torch.testing.assert_close(features @ weight.T + bias, ours(network.clip), rtol=1e-4, atol=1e-5)


def test_all_residual_blocks_are_counted():
    with torch.device("meta"):
        counted = {
            name: {stage: len(blocks_by_name({stage: part})) for stage, part in made(2).stages.items()}
            for name, made in {
                "r3d": TorchvisionResNet,
                "s3d": S3D,
                "m": X3D,
                "l": partial(X3D, depth_factor=5.0),
            }.items()
        }
    assert counted["r3d"] == {"stem": 3, "res2": 2, "res3": 2, "res4": 2, "res5": 2}
    # Inception blocks 3b and 3c, 4b to 4f, 5b and 5c.
    assert counted["s3d"] == {"stem": 4, "res3": 2, "res4": 5, "res5": 2}
    # arXiv:2004.04730, table 3: 3, 5, 11, 7 and 5, 10, 25, 15.
    assert counted["m"] == {"stem": 0, "res2": 3, "res3": 5, "res4": 11, "res5": 7}
    assert counted["l"] == {"stem": 0, "res2": 5, "res3": 10, "res4": 25, "res5": 15}


def test_the_stages_of_s3d_have_the_maps_of_those_of_a_residual_network():
    sides: dict[str, int] = {}
    with torch.device("meta"):
        network = S3D(2)
        for name, stage in network.stages.items():
            stage.register_forward_hook(lambda _, __, maps, name=name: sides.update({name: maps.shape[-1]}))
        network(torch.zeros(1, 3, 8, 224, 224))
    assert sides == {"stem": 56, "res3": 28, "res4": 14, "res5": 7}


def test_a_block_of_s3d_has_no_addition_to_stand_before_and_short_clips_are_refused():
    with torch.device("meta"), pytest.raises(ValueError, match=r"res3\.0 is a SepInceptionBlock3D, and only"):
        S3D(2, block=GlobalContextBlock, placement={"res3": [0], "position": "after_1x1x1"})
    network = S3D(2).eval()
    assert network(torch.zeros(1, 3, 5, 17, 17)).shape == (1, 2)
    for size in ((4, 32, 32), (8, 16, 32)):
        with pytest.raises(
            ValueError, match=r"S3D halves a clip of .* expected at least 5 frames of 17 x 17"
        ):
            network(torch.zeros(1, 3, *size))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (MViT, mvit_v2_s),
        (Swin3D, swin3d_t),
        (partial(Swin3D, width=128, depths=(2, 2, 18, 2)), swin3d_b),
    ],
    ids=["mvit_v2_s", "swin3d_t", "swin3d_b"],
)
def test_transformers_have_torchvisions_tensors_and_every_block_is_a_stage(ours, theirs):
    with torch.device("meta"):
        network, library = ours(CLASSES), theirs(num_classes=CLASSES)
    shapes = {f"net.{key}": tensor.shape for key, tensor in library.state_dict().items()}
    assert {key: tensor.shape for key, tensor in network.state_dict().items()} == shapes
    in_stages = [id(one) for stage in network.stages.values() for one in stage.parameters()]
    outside = [name for name, one in network.named_parameters() if id(one) not in in_stages]
    assert len(set(in_stages)) == len(in_stages)
    assert {name.split(".")[1] for name in outside} == {"norm", "head"}


@pytest.mark.parametrize(
    ("ours", "theirs", "size"),
    [
        pytest.param(MViT, mvit_v2_s, (16, 224, 224), marks=pytest.mark.slow),
        pytest.param(Swin3D, swin3d_t, (4, 40, 32)),
    ],
)
def test_transformers_have_torchvisions_logits(ours, theirs, size):
    torch.manual_seed(0)
    library = theirs(num_classes=CLASSES).eval()
    with torch.device("meta"):
        network = ours(CLASSES).eval()
    network.net.load_state_dict(library.state_dict(), strict=True, assign=True)
    clip = torch.randn(1, 3, *size)
    with torch.inference_mode():
        assert torch.equal(network(clip), library(clip))


def test_a_transformer_refuses_clips_that_it_was_not_made_for():
    network = MViT(2, num_frames=4, crop_size=32).eval()
    assert network(torch.zeros(1, 3, 4, 32, 32)).shape == (1, 2)
    said = "MViT was made for clips of 4 x 32 x 32 and is given 8 x 32 x 32; set its num_frames and crop_size"
    with pytest.raises(ValueError, match=said):
        network(torch.zeros(1, 3, 8, 32, 32))
    for size in ({"num_frames": 3}, {"num_frames": 0}, {"crop_size": 30}):
        with pytest.raises(ValueError, match="expected multiples of 2 and of 32"):
            MViT(2, **size)
    for network_of in (MViT, Swin3D):
        for size in ({"width": 0}, {"depths": (1, 0, 1, 1)}):
            with pytest.raises(ValueError, match="expected at least 1 everywhere"):
                network_of(2, **size)
    assert Swin3D(2).eval()(torch.zeros(1, 3, 3, 40, 33)).shape == (1, 2)
    with pytest.raises(ValueError, match="width is 100; expected a multiple of the 32 channels of a head"):
        Swin3D(2, width=100)
