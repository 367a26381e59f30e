"""torchvision's files of weights in a classifier."""

from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18

from gcvideo.blocks import GlobalContextBlock
from gcvideo.images.backbones import ContextResNet, ImagePlacement
from gcvideo.images.classification import ImageClassifier
from gcvideo.images.weights import ImageWeights

NAMES = [f"class {k}" for k in range(10)]


@pytest.fixture(scope="module")
def published() -> torch.nn.Module:
    """torchvision's network, with statistics that are not those of its making."""
    torch.manual_seed(1)
    network = resnet18(num_classes=10)
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.1, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def file(published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(published.state_dict(), path)
    return path


def loaded(file: Path, names: list[str], **settings) -> ImageClassifier:
    weights = ImageWeights(file, **settings)
    module = ImageClassifier(ContextResNet(18), names, weights=weights).eval()
    module.start_from_weights()
    return module


def test_a_file_of_torchvision_gives_its_probabilities(published, file: Path) -> None:
    images = torch.randn(2, 3, 64, 64)
    expected = published(images).softmax(dim=1)
    assert torch.allclose(loaded(file, NAMES)(images), expected, atol=1e-6)


def test_a_head_of_other_classes_starts_fresh_where_that_is_said_and_else_nothing_is_loaded(
    published, file: Path
) -> None:
    module = loaded(file, NAMES[:3], new=["head"])
    own = module.network.state_dict()
    assert all(
        torch.equal(own[f"backbone.{key}"], tensor)
        for key, tensor in published.state_dict().items()
        if not key.startswith("fc.")
    )
    with pytest.raises(ValueError, match=r"resnet18.pth: nothing was loaded: .*2 of another shape"):
        loaded(file, NAMES[:3])


def test_a_file_of_another_depth_is_refused_with_what_is_missing(file: Path) -> None:
    module = ImageClassifier(ContextResNet(34), NAMES, weights=ImageWeights(file))
    with pytest.raises(ValueError, match=r"missing: backbone.layer1.2.conv1.weight"):
        module.start_from_weights()


def test_a_checkpoint_of_a_run_is_a_file_of_weights_too(file: Path, tmp_path: Path) -> None:
    trained = loaded(file, NAMES)
    checkpoint = tmp_path / "best.ckpt"
    torch.save({"state_dict": trained.state_dict(), "epoch": 3, "global_step": 7}, checkpoint)
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(loaded(checkpoint, NAMES)(images), trained(images))


def test_weights_that_are_not_finite_are_refused_by_name(published, tmp_path: Path) -> None:
    state = published.state_dict()
    bad = tmp_path / "bad.pth"
    torch.save({**state, "fc.bias": torch.full((10,), torch.nan)}, bad)
    with pytest.raises(ValueError, match=r"bad.pth: 10 of its numbers are nan or infinite: fc.bias"):
        loaded(bad, NAMES)


def test_blocks_that_start_fresh_leave_a_published_network_as_it_is(published, file: Path) -> None:
    backbone = ContextResNet(
        18, block=GlobalContextBlock, placement=ImagePlacement(c3="all", c4="all", c5="all")
    )
    module = ImageClassifier(backbone, NAMES, weights=ImageWeights(file)).eval()
    with pytest.raises(ValueError, match=r"missing: backbone.layer2.0.context"):
        module.start_from_weights()
    module.weights = ImageWeights(file, new=["blocks"])
    module.start_from_weights()
    images = torch.randn(2, 3, 64, 64)
    assert torch.allclose(module(images), published(images).softmax(dim=1), atol=1e-6)


def test_rates_fall_by_stage_from_the_head_to_the_stem() -> None:
    module = ImageClassifier(ContextResNet(18, width=0.125), NAMES, layer_decay=0.5)
    rates = {name: group["lr"] for group in module.parameter_groups(1.0) for name, _ in group["params"]}
    assert rates["fc.weight"] == 1.0
    assert rates["backbone.layer4.1.conv2.weight"] == 0.5
    assert rates["backbone.layer1.0.bn1.weight"] == 0.5**4
    assert rates["backbone.conv1.weight"] == rates["backbone.bn1.bias"] == 0.5**5
