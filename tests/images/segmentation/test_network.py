"""The network of dense prediction: the published one's counts, and its head against a plain loop."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gcvideo.blocks import GlobalContextBlock
from gcvideo.images.backbones import ContextResNet
from gcvideo.images.segmentation.network import DenseHead, DensePrediction
from gcvideo.images.weights import ImageWeights, load_weights
from tests.images.segmentation.tiny import TinyDilated

RATIO_16 = partial(GlobalContextBlock, reduction_ratio=16)


def network_of(num_classes: int, dilated: tuple[str, ...] = ("c4", "c5")) -> DensePrediction:
    with torch.device("meta"):
        return DensePrediction(ContextResNet(50, dilated=list(dilated)), num_classes, block=RATIO_16).eval()


@pytest.mark.parametrize(
    ("num_classes", "published"), [(2, 33_484_739), (19, 33_563_092), (21, 33_572_310), (150, 34_166_871)]
)
def test_the_network_has_the_published_parameters(num_classes: int, published: int) -> None:
    assert sum(parameter.numel() for parameter in network_of(num_classes).parameters()) == published


def test_the_network_takes_the_published_multiply_adds() -> None:
    with FlopCounterMode(display=False) as counter:
        logits = network_of(2)(torch.empty(1, 3, 224, 224, device="meta"))
    assert logits.shape == (1, 2, 224, 224)
    assert round(counter.get_total_flops() / 2e9, 2) == 26.94


def test_a_backbone_of_another_stride_is_refused() -> None:
    """torchvision's `replace_stride_with_dilation=[1, 2, 4]`, read as booleans, dilates c3 as well."""
    network = network_of(2, ("c3", "c4", "c5"))
    with pytest.raises(ValueError, match=r"c5 of 64 x 64 pixels has 16 x 16 cells; expected 8 x 8"):
        network(torch.empty(1, 3, 64, 64, device="meta"))


def resized(x: np.ndarray, factor: int) -> np.ndarray:
    """Bilinear, corners on corners: output i reads input i * (n - 1) / (factor * n - 1)."""
    channels, height, width = x.shape
    out = np.zeros((channels, factor * height, factor * width))
    for i in range(factor * height):
        for j in range(factor * width):
            y, x_ = i * (height - 1) / (factor * height - 1), j * (width - 1) / (factor * width - 1)
            top, left = min(int(y), height - 2), min(int(x_), width - 2)
            for row, down in ((top, 1 - (y - top)), (top + 1, y - top)):
                for column, across in ((left, 1 - (x_ - left)), (left + 1, x_ - left)):
                    out[:, i, j] += down * across * x[:, row, column]
    return out


def convolved(x: np.ndarray, layer: nn.Conv2d) -> np.ndarray:
    """3 x 3 with bias, zeros around."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    around = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(bias), *x.shape[1:]))
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            out[:, i, j] = (weight * around[:, i : i + 3, j : j + 3]).sum(axis=(1, 2, 3)) + bias
    return out


def test_the_head_is_that_of_a_plain_loop() -> None:
    head = DenseHead(5, 3, hidden_channels=4).double().eval()
    norm = head.norm
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(1, 5, 2, 3, dtype=torch.float64)

    reduced = torch.from_numpy(convolved(x[0].numpy(), head.reduce))
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    normed = (reduced - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]
    expected = convolved(resized(normed.relu().detach().numpy(), 8), head.classify)
    np.testing.assert_allclose(head(x)[0].detach().numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("size", [(8, 8), (17, 30), (40, 33)])
def test_logits_have_the_size_of_the_picture_and_see_that_of_the_next_multiple_of_eight(
    size: tuple[int, int],
) -> None:
    network = DensePrediction(TinyDilated(), 3, block=None).eval()
    image = torch.randn(2, 3, *size)
    logits = network(image)
    assert logits.shape == (2, 3, *size)
    rows, columns = (-size[0] % 8, -size[1] % 8)
    whole = network.head(network.backbone(image)["c5"])
    assert whole.shape[2:] == (size[0] + rows, size[1] + columns)
    torch.testing.assert_close(logits, whole[:, :, : size[0], : size[1]])


def test_a_picture_is_found_the_same_alone_and_beside_others_and_starts_as_without_context() -> None:
    network = DensePrediction(TinyDilated(), 3, block=partial(GlobalContextBlock, reduction_ratio=4)).eval()
    images = torch.randn(3, 3, 24, 24)
    together: Tensor = network(images)
    torch.testing.assert_close(network(images[1:2]), together[1:2], atol=1e-5, rtol=1e-5)
    network.context = nn.Identity()
    assert torch.equal(network(images), together)


def test_weights_of_a_classifier_start_a_segmenter_whose_head_and_context_are_new(tmp_path: Path) -> None:
    trained = {
        **ContextResNet(50, width=1 / 16, dilated=["c4", "c5"]).state_dict(),
        "fc.weight": torch.ones(3, 128),
    }
    torch.save(trained, tmp_path / "resnet50.pth")
    context = partial(GlobalContextBlock, reduction_ratio=16)
    network = DensePrediction(ContextResNet(50, width=1 / 16, dilated=["c4", "c5"]), 5, block=context)
    head = network.head.classify.weight.clone()
    load_weights(network, ImageWeights(tmp_path / "resnet50.pth", new=["head", "blocks"]))
    for name, tensor in network.backbone.state_dict().items():
        assert torch.equal(tensor, trained[name]), name
    assert torch.equal(network.head.classify.weight, head)
    with pytest.raises(ValueError, match=r"head\.classify"):
        load_weights(network, ImageWeights(tmp_path / "resnet50.pth"))
