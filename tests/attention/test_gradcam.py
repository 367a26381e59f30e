"""Grad-CAM against its equation, by hand."""

import pytest
import torch

from gcvideo.attention import grad_cam_layers, stage_of
from gcvideo.backbones import VideoResNet
from gcvideo.training.tasks import SingleLabel

TASK = SingleLabel(list("abcde"))


@pytest.fixture(scope="module")
def network() -> VideoResNet:
    torch.manual_seed(0)
    return VideoResNet(5, width=0.0625, zero_init_residual=False).eval()


@pytest.mark.parametrize("stage", ["res3", "res5"])
def test_grad_cam_is_the_sum_of_channels_weighed_by_their_mean_gradient(
    network: VideoResNet, stage: str
) -> None:
    clip = torch.randn(1, 3, 4, 64, 64, generator=torch.Generator().manual_seed(1))
    kept = {}
    handle = network.stages[stage].register_forward_hook(lambda _, __, output: kept.update(A=output))
    logits = network(clip)
    handle.remove()
    (gradient,) = torch.autograd.grad(logits[0].max(), kept["A"])
    alpha = gradient.mean(dim=(2, 3, 4), keepdim=True)
    expected = (alpha * kept["A"]).sum(dim=1).relu()[0]  # T H W
    assert expected.max() > 0

    (layer,) = grad_cam_layers(network, stage_of(network, stage), clip, TASK).layers
    assert layer.values.shape == (4, 64, 64)
    # A frame of 64 pixels and 8 or 2 cells: a corner pixel lies beyond all middles, with its cell's value.
    corners = layer.values[:, ::63, ::63]
    of_cells = expected[:, :: expected.shape[1] - 1, :: expected.shape[2] - 1]
    torch.testing.assert_close(corners / corners.max(), of_cells / of_cells.max(), atol=1e-4, rtol=1e-3)
    assert layer.values.max().item() == pytest.approx(1)
    likeliest = logits.softmax(1)[0]
    assert layer.title == f"{'abcde'[int(likeliest.argmax())]} {likeliest.max():.0%}"


def test_a_frozen_network_has_grad_cam_too(network: VideoResNet) -> None:
    clip = torch.randn(1, 3, 4, 64, 64, generator=torch.Generator().manual_seed(1))
    free = grad_cam_layers(network, network.stages["res4"], clip, TASK).layers[0].values
    network.requires_grad_(False)
    frozen = grad_cam_layers(network, network.stages["res4"], clip, TASK).layers[0].values
    network.requires_grad_(True)
    torch.testing.assert_close(frozen, free)


def test_a_stage_that_does_not_exist_is_refused(network: VideoResNet) -> None:
    with pytest.raises(ValueError, match="Grad-CAM of 'res6': VideoResNet has stem, res2, res3, res4, res5"):
        stage_of(network, "res6")
