"""Networks of 18 and 34 layers against torchvision's image networks, whose weights are inflated."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import ResNet, resnet18, resnet34

from gcvideo.backbones import VideoResNet, placed_blocks
from gcvideo.backbones.checkpoints import Weights, load_weights, read_checkpoint, recognise
from gcvideo.backbones.checkpoints.conversion import convert
from gcvideo.backbones.protocols import blocks_by_name
from gcvideo.blocks import GlobalContextBlock
from tests.parity.weights import with_every_layer_mattering

SIDE = 64


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def saved(network: ResNet, folder: Path) -> Path:
    torch.save(network.state_dict(), folder / "resnet.pth")
    return folder / "resnet.pth"


@torch.inference_mode()
def image_features(network: ResNet, image: Tensor) -> Tensor:
    x = network.maxpool(network.relu(network.bn1(network.conv1(image))))
    return network.layer4(network.layer3(network.layer2(network.layer1(x)))).mean(dim=(2, 3))


def replicate_in_time(convolution: nn.Conv3d, inputs: tuple[Tensor]) -> Tensor:
    first, last = inputs[0][:, :, :1], inputs[0][:, :, -1:]
    return torch.cat([first, inputs[0], last], dim=2)


@pytest.mark.parametrize(("depth", "make"), [(18, resnet18), (34, resnet34)])
def test_inflated_networks_have_the_images_features(depth, make, image, tmp_path):
    torch.manual_seed(0)
    theirs = with_every_layer_mattering(make(num_classes=7))
    path = saved(theirs, tmp_path)
    assert str(recognise(read_checkpoint(path))).startswith(
        f"torchvision / timm naming, 2-D R{depth}, 7 classes"
    )
    expected = image_features(theirs, image)
    assert expected.std() > 0.1
    # Of one frame, by a network that looks at single frames.
    framewise = VideoResNet(3, architecture="c2d", depth=depth).eval()
    load_weights(framewise, Weights(path))
    with torch.inference_mode():
        torch.testing.assert_close(framewise.features(image.unsqueeze(2)), expected, rtol=1e-4, atol=1e-5)
    # Of a clip that stands still, by one that looks along time in res4 and res5, whose borders are repeated.
    slow = VideoResNet(3, depth=depth).eval()
    load_weights(slow, Weights(path))
    for residual in [*slow.stages["res4"].res_blocks, *slow.stages["res5"].res_blocks]:
        residual.branch2.conv_a.padding = (0, 1, 1)
        residual.branch2.conv_a.register_forward_pre_hook(replicate_in_time)
    with torch.inference_mode():
        found = slow.features(image.unsqueeze(2).repeat(1, 1, 3, 1, 1))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_c2d_network_goes_back_to_torchvisions_names_and_to_no_other_networks(tmp_path):
    theirs = resnet18(num_classes=7)
    checkpoint = read_checkpoint(saved(theirs, tmp_path))
    source = recognise(checkpoint)
    arguments = {"architecture": None, "inflation": "mean"}
    state, _ = convert(checkpoint, source, to="torchvision", **arguments)
    assert state.keys() == theirs.state_dict().keys()
    assert all(torch.equal(tensor, theirs.state_dict()[key]) for key, tensor in state.items())
    with pytest.raises(ValueError, match="it has basic blocks, and those of MMAction2 are others"):
        convert(checkpoint, source, to="mmaction2", architecture="slow", inflation="mean")


def test_a_file_of_another_depth_is_named_and_refused(tmp_path):
    path = saved(resnet18(num_classes=7), tmp_path)
    with pytest.raises(ValueError, match="depth is 34, but the file's is 18; set depth to it"):
        load_weights(VideoResNet(3, depth=34), Weights(path))
    with pytest.raises(ValueError, match="depth is 50, but the file's is 18; set depth to it"):
        load_weights(VideoResNet(3), Weights(path))


@pytest.mark.parametrize(
    ("architecture", "along_time"),
    [("slow", ["res4.0", "res4.1", "res5.0", "res5.1"]), ("c2d", [])],
)
def test_the_first_convolution_looks_along_time_where_the_architecture_does(architecture, along_time):
    with torch.device("meta"):
        network = VideoResNet(2, architecture=architecture, depth=18)
    branches = {name: block.branch2 for name, block in blocks_by_name(network.stages).items()}
    assert [name for name, branch in branches.items() if branch.conv_a.kernel_size == (3, 3, 3)] == along_time
    assert all(branch.conv_b.kernel_size == (1, 3, 3) for branch in branches.values())


@pytest.mark.parametrize("position", ["after_add", "after_1x1x1"])
def test_blocks_are_placed_by_the_same_words_and_change_no_logit_at_the_start(position, image):
    torch.manual_seed(0)
    small = partial(VideoResNet, 5, depth=34, width=0.125)
    bare = with_every_layer_mattering(small())
    block = partial(GlobalContextBlock, reduction_ratio=4)
    placed = small(block=block, placement={"res3": 2, "res4": 3, "position": position}).eval()
    assert placed.context_places == ["res3.1", "res3.3", "res4.1", "res4.3", "res4.5"]
    added = placed.load_state_dict(bare.state_dict(), strict=False).missing_keys
    assert len({key.partition(".context.")[0] for key in added}) == 5
    clip = torch.stack([image, image.flip(-1)], dim=2)
    with torch.inference_mode():
        assert torch.equal(placed(clip), bare(clip))
        for context in placed_blocks(placed).values():
            nn.init.ones_(context.get_parameter("transform.expand.weight"))
        assert not torch.equal(placed(clip), bare(clip))


def test_residual_branches_start_at_zero_unless_asked_otherwise():
    for zero in (True, False):
        state = VideoResNet(2, depth=18, width=0.125, zero_init_residual=zero).state_dict()
        last = [weight for key, weight in state.items() if key.endswith("norm_b.weight")]
        assert len(last) == 8
        assert all((weight == (0 if zero else 1)).all() for weight in last)


def test_basic_blocks_have_no_1x1_convolution_for_a_stride():
    with pytest.raises(ValueError, match="stride_on is 1x1, and the basic blocks of depth 18 have no such"):
        VideoResNet(2, depth=18, stride_on="1x1")
