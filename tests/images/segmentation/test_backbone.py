"""The dilated network is torchvision's, at any width."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torchvision.models import resnet50
from torchvision.models._utils import IntermediateLayerGetter

from gcvideo.blocks import GlobalContextBlock
from gcvideo.images.segmentation import DensePrediction, DilatedResNet
from gcvideo.images.weights import ImageWeights, load_weights


def test_it_has_the_names_and_computes_the_maps_of_torchvisions() -> None:
    theirs = resnet50(replace_stride_with_dilation=[False, True, True]).eval()
    for name, buffer in theirs.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    ours = DilatedResNet(50).eval()
    missing = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert (missing.missing_keys, missing.unexpected_keys) == ([], ["fc.weight", "fc.bias"])
    image = torch.randn(1, 3, 40, 33)
    stages = {f"layer{n}": f"c{n + 1}" for n in range(1, 5)}
    with torch.no_grad():
        expected, found = IntermediateLayerGetter(theirs, stages)(image), ours(image)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    assert [found[name].shape[1] for name in found] == list(ours.channels.values())


@pytest.mark.parametrize("depth", [50, 101])
def test_a_narrow_one_has_fewer_channels_and_the_same_maps(depth: int) -> None:
    network = DilatedResNet(depth, width=1 / 16).eval()
    maps = network(torch.randn(1, 3, 32, 48))
    assert [tuple(of.shape[1:]) for of in maps.values()] == [(16, 8, 12), (32, 4, 6), (64, 4, 6), (128, 4, 6)]
    assert sum(name.endswith("conv3.weight") for name in network.state_dict()) == (depth - 2) // 3


def test_weights_of_a_classifier_start_a_segmenter_whose_head_and_context_are_new(tmp_path: Path) -> None:
    trained = {**DilatedResNet(width=1 / 16).state_dict(), "fc.weight": torch.ones(3, 128)}
    torch.save(trained, tmp_path / "resnet50.pth")
    context = partial(GlobalContextBlock, reduction_ratio=16)
    network = DensePrediction(DilatedResNet(width=1 / 16), 5, block=context)
    head = network.head.classify.weight.clone()
    load_weights(network, ImageWeights(tmp_path / "resnet50.pth", new=["head", "blocks"]))
    for name, tensor in network.backbone.state_dict().items():
        assert torch.equal(tensor, trained[name]), name
    assert torch.equal(network.head.classify.weight, head)
    with pytest.raises(ValueError, match=r"head\.classify"):
        load_weights(network, ImageWeights(tmp_path / "resnet50.pth"))


def test_another_depth_or_width_is_refused() -> None:
    with pytest.raises(ValueError, match="depth is 34; expected one of 50, 101"):
        DilatedResNet(34)
    with pytest.raises(ValueError, match=r"width is 0.0; expected at least 1/64"):
        DilatedResNet(50, width=0.0)
