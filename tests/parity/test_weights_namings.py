"""Weights of networks that other codebases name, in ours: the same logits."""

import re
from functools import partial
from pathlib import Path

import pytest
import torch
from pytorchvideo.models import hub
from torch import Tensor, nn

from gcvideo.backbones import Placement, VideoResNet
from gcvideo.backbones.checkpoints import Weights, load_weights, read_naming, recognise, write_naming
from gcvideo.backbones.checkpoints.files import Checkpoint
from gcvideo.blocks import NonLocalBlock
from tests.parity.foreign import MmactionSlowOnly, SlowFastSlow
from tests.parity.weights import with_every_layer_mattering

WIDTH = 8
NONLOCAL = {"res3": [1, 3], "res4": [0, 5]}


def randomised(network: nn.Module) -> nn.Module:
    """Every norm, those of blocks as well, and every linear map far from its start."""
    with_every_layer_mattering(network)
    for module in network.modules():
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv3d) and module.bias is not None):
            nn.init.normal_(module.weight, std=0.2)
            nn.init.normal_(module.bias, std=0.2)
    return network


def ours(**settings: str) -> VideoResNet:
    return VideoResNet(
        7,
        width=WIDTH / 64,
        block=partial(NonLocalBlock, **settings),
        placement=Placement(**NONLOCAL),
    ).eval()


def clip() -> Tensor:
    return torch.randn(2, 3, 4, 64, 64, generator=torch.Generator().manual_seed(1))


def logits(network: nn.Module) -> Tensor:
    with torch.inference_mode():
        return network(clip())


@pytest.fixture(scope="module")
def pyslowfast() -> nn.Module:
    torch.manual_seed(0)
    return randomised(SlowFastSlow(7, WIDTH, {3: [1, 3], 4: [0, 5]}))


@pytest.fixture(scope="module")
def mmaction2() -> nn.Module:
    torch.manual_seed(0)
    return randomised(MmactionSlowOnly(7, WIDTH, {2: [1, 3], 3: [0, 5]}, use_scale=True, sub_sample=True))


@pytest.mark.parametrize("architecture", ["slow", "i3d", "c2d"])
def test_a_file_of_pytorchvideos_zoo_gives_its_logits(architecture, tmp_path):
    torch.manual_seed(0)
    theirs = with_every_layer_mattering(getattr(hub, f"{architecture}_r50")(pretrained=False))
    path = tmp_path / f"{architecture.upper()}_8x8_R50.pyth"
    torch.save({"model_state": theirs.state_dict()}, path)
    network = VideoResNet(400, architecture=architecture).eval()
    load_weights(network, Weights(path))
    view = torch.randn(1, 3, 4, 64, 64)
    with torch.inference_mode():
        expected = theirs.blocks[-1].proj(nn.Sequential(*theirs.blocks[:-1])(view).mean((2, 3, 4)))
        found = network(view)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_checkpoint_of_pyslowfast_with_non_local_blocks_gives_its_logits(pyslowfast, tmp_path):
    path = tmp_path / "checkpoint_epoch_00196.pyth"
    content = {"epoch": 195, "model_state": pyslowfast.state_dict(), "optimizer_state": {"state": {}}}
    torch.save(content | {"cfg": "NONLOCAL:\n  INSTANTIATION: softmax\n"}, path)
    network = ours(instantiation="scaled_embedded_gaussian", subsampling="pool_then_conv")
    load_weights(network, Weights(path))
    expected = logits(pyslowfast)
    assert expected.std() > 0.1
    torch.testing.assert_close(logits(network), expected, rtol=1e-4, atol=1e-4)


def test_the_first_releases_of_pyslowfast_called_a_blocks_norm_norm(pyslowfast, tmp_path):
    state = pyslowfast.state_dict()
    older = {re.sub(r"(nonlocal\d+)\.bn", r"\1.norm", key): tensor for key, tensor in state.items()}
    assert len(older.keys() - state.keys()) == 4 * 5
    torch.save({"model_state": older}, tmp_path / "nln.pyth")
    network = ours(instantiation="scaled_embedded_gaussian", subsampling="pool_then_conv")
    load_weights(network, Weights(tmp_path / "nln.pyth"))
    torch.testing.assert_close(logits(network), logits(pyslowfast), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "instantiation", "subsampling"),
    [
        ({"use_scale": True, "sub_sample": True}, "scaled_embedded_gaussian", "conv_then_pool"),
        ({"use_scale": False, "sub_sample": True}, "embedded_gaussian", "conv_then_pool"),
        ({"use_scale": True, "sub_sample": False}, "scaled_embedded_gaussian", "none"),
    ],
)
def test_a_checkpoint_of_mmaction2_with_non_local_blocks_gives_its_logits(
    settings, instantiation, subsampling, tmp_path
):
    torch.manual_seed(0)
    theirs = randomised(MmactionSlowOnly(7, WIDTH, {2: [1, 3], 3: [0, 5]}, **settings))
    text = "pipeline = [dict(type='DecordDecode', mode='accurate')]\n"  # another mode, of no block
    block = f"dict(sub_sample=True, use_scale={settings['use_scale']}, mode='embedded_gaussian')"
    text += f"model = dict(backbone=dict(type='ResNet3dSlowOnly', non_local_cfg={block}))"
    torch.save({"state_dict": theirs.state_dict(), "meta": {"config": text}}, tmp_path / "slowonly.pth")
    network = ours(instantiation=instantiation, subsampling=subsampling)
    load_weights(network, Weights(tmp_path / "slowonly.pth"))
    expected = logits(theirs)
    assert expected.std() > 0.1
    torch.testing.assert_close(logits(network), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("instantiation", "subsampling", "said"),
    [
        ("embedded_gaussian", "pool_then_conv", "instantiation embedded_gaussian.*scaled_embedded_gaussian"),
        ("dot_product", "pool_then_conv", "instantiation dot_product.*scaled_embedded_gaussian"),
        ("scaled_embedded_gaussian", "conv_then_pool", "subsampling conv_then_pool.*pool_then_conv or none"),
    ],
)
def test_a_block_that_computes_something_else_with_the_same_weights_is_refused(
    pyslowfast, tmp_path, instantiation, subsampling, said
):
    path = tmp_path / "nln.pyth"
    torch.save({"model_state": pyslowfast.state_dict(), "cfg": "NONLOCAL:\n  INSTANTIATION: softmax\n"}, path)
    network = ours(instantiation=instantiation, subsampling=subsampling)
    before = network.blocks[0].conv.weight.clone()
    with pytest.raises(ValueError, match=said):
        load_weights(network, Weights(path))
    assert torch.equal(network.blocks[0].conv.weight, before)


@pytest.mark.parametrize("format", ["pyslowfast", "mmaction2"])
def test_converting_there_and_back_gives_every_tensor_again(format, request):
    theirs = request.getfixturevalue(format).state_dict()
    source = recognise(Checkpoint(Path("x.pth"), dict(theirs), [], {}))
    assert source.format == format
    assert source.named.unknown == {}
    assert len(source.blocks) == 4
    back = write_naming(source.named.state, format)
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("format", ["pyslowfast", "mmaction2"])
def test_our_weights_under_other_names_give_our_logits(format, request):
    """With biases that MMAction2 has no place for."""
    theirs = request.getfixturevalue(format)
    subsampling = {"pyslowfast": "pool_then_conv", "mmaction2": "conv_then_pool"}[format]
    network = randomised(ours(instantiation="scaled_embedded_gaussian", subsampling=subsampling))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
    state = write_naming(read_naming(network.state_dict(), "pytorchvideo").state, format)
    kept = {key: tensor.clone() for key, tensor in theirs.state_dict().items()}
    theirs.load_state_dict(state, strict=True)
    found = logits(theirs)
    theirs.load_state_dict(kept)
    expected = logits(network)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
