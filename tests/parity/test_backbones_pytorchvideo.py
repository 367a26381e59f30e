"""Whole networks against pytorchvideo's, with pytorchvideo's own state dicts."""

import pytest
import torch
from pytorchvideo.models import hub
from torch import Tensor, nn

from gcvideo.backbones import VideoResNet
from tests.parity.weights import with_every_layer_mattering

ARCHITECTURES = ["slow", "i3d", "c2d"]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def pair(request) -> tuple[nn.Module, VideoResNet]:
    """Theirs, and ours with the state dict of theirs."""
    torch.manual_seed(0)
    theirs = with_every_layer_mattering(getattr(hub, f"{request.param}_r50")(pretrained=False))
    with torch.device("meta"):
        ours = VideoResNet(400, architecture=request.param)
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    return theirs, ours.eval()


def clip(frames: int, side: int) -> Tensor:
    return torch.randn(1, 3, frames, side, side, generator=torch.Generator().manual_seed(1))


def logits(network: nn.Module, view: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(view)


def test_state_dict_keys_and_their_order_are_pytorchvideos(pair):
    theirs, ours = pair
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_logits_equal_pytorchvideos_at_the_size_of_its_head(pair):
    """Their head slides a window of 8 (4 behind a temporal pool) x 7 x 7: once at 8 x 224 x 224."""
    theirs, ours = pair
    view = clip(8, 224)
    expected = logits(theirs, view)
    assert expected.std() > 0.1
    assert (logits(ours, view) - expected).abs().max() < 1e-5


def test_features_equal_pytorchvideos_at_a_size_that_its_head_refuses(pair):
    theirs, ours = pair
    theirs, ours, view = theirs.blocks[:-1], ours.blocks[:-1], clip(4, 96)
    with torch.inference_mode():
        expected, found = nn.Sequential(*theirs)(view), nn.Sequential(*ours)(view)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_every_layer_is_seen_by_the_comparison(pair):
    """A state dict with one convolution changed, however deep, gives other logits."""
    _, ours = pair
    view = clip(1, 32)
    before = logits(ours, view)
    for convolution in (m for m in ours.modules() if isinstance(m, nn.Conv3d)):
        weight = convolution.weight.data
        convolution.weight.data = weight.roll(1, dims=0)
        changed = (logits(ours, view) - before).abs().max()
        convolution.weight.data = weight
        assert changed > 1e-4
