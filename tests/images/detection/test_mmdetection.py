import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from gcvideo.blocks import GlobalContextBlock
from gcvideo.images.backbones import ContextResNet, ImagePlacement
from gcvideo.images.detection.mmdetection import read_mmdetection, write_mmdetection
from gcvideo.images.detection.networks import CascadeMaskRCNN, MaskRCNN
from gcvideo.images.detection.networks.mask_rcnn import PyramidRCNN
from gcvideo.images.detection.weights import load_detector_weights
from gcvideo.images.module import ImageModule
from gcvideo.images.weights import ImageWeights
from tests.images.detection.layout import detector, filled

FILE = Path("mask_rcnn.pth")
WIDTH: dict[str, Any] = {"width": 1 / 16}
HEADS: dict[str, Any] = {"channels": 8, "hidden": 16, "min_size": 64, "max_size": 64}


def small(kind: type[PyramidRCNN] = MaskRCNN, num_classes: int = 5, **backbone: Any) -> PyramidRCNN:
    settings: dict[str, Any] = {
        "block": partial(GlobalContextBlock, reduction_ratio=4),
        "placement": ImagePlacement(c3="all", c4="all", c5="all"),
        **WIDTH,
        **backbone,
    }
    torch.manual_seed(1)
    return kind(ContextResNet(**settings), num_classes, **HEADS).eval()  # pyright: ignore[reportCallIssue]


def theirs(**others: Any) -> dict[str, Tensor]:
    settings = {"ratio": 4, "base": 4, "channels": 8, "hidden": 16, "num_classes": 5, **others}
    return filled(detector(**settings))


def write(path: Path, state: dict[str, Tensor]) -> Path:
    """Write a state dict as mmdetection's tools do, beside what is said of it."""
    torch.save({"meta": {"epoch": 12, "CLASSES": ("person",)}, "state_dict": state, "optimizer": {}}, path)
    return path


@pytest.mark.parametrize("cascade", [False, True])
@pytest.mark.parametrize("deformable", [False, True])
def test_a_file_of_mmdetections_is_loaded_whole_and_written_back_to_the_bit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cascade: bool, deformable: bool
) -> None:
    state = theirs(cascade=cascade, deformable=deformable)
    network = small(
        CascadeMaskRCNN if cascade else MaskRCNN, deformable=["c3", "c4", "c5"] if deformable else []
    )

    with caplog.at_level(logging.INFO, "gcvideo"):
        load_detector_weights(network, ImageWeights(write(tmp_path / "of_theirs.pth", state)))

    written = write_mmdetection(network.state_dict())
    assert written.keys() == state.keys()
    assert all(torch.equal(written[key], tensor) for key, tensor in state.items())
    kind = "a cascade of 3 stages" if cascade else "Mask R-CNN"
    offsets = ", 13 deformable convolutions" if deformable else ""
    assert (
        f"of_theirs.pth (mmdetection naming, {kind}, 5 classes, 13 context blocks{offsets}): "
        f"{len(state)} tensors; 0 of the network start fresh; 0 of the file left behind"
    ) in caplog.text


def test_every_layer_has_the_weights_of_its_namesake() -> None:
    state = theirs(deformable=True)

    found = read_mmdetection(state, FILE).state

    block = "layer3.2.context_block"
    expected = {
        "backbone.body.layer1.2.bn3.running_var": state["backbone.layer1.2.bn3.running_var"],
        "backbone.body.layer2.0.conv2.conv_offset.bias": state["backbone.layer2.0.conv2.conv_offset.bias"],
        "backbone.body.layer3.2.context.context.key.weight": state[f"backbone.{block}.conv_mask.weight"][
            :, :, 0, 0
        ],
        "backbone.body.layer3.2.context.transform.norm.bias": state[
            f"backbone.{block}.channel_add_conv.1.bias"
        ][:, 0, 0],
        "backbone.fpn.layer_blocks.3.0.weight": state["neck.fpn_convs.3.conv.weight"],
        "rpn.head.conv.0.0.bias": state["rpn_head.rpn_conv.bias"],
        "rpn.head.bbox_pred.weight": state["rpn_head.rpn_reg.weight"],
        "roi_heads.stages.0.box_head.deltas.weight": state["roi_head.bbox_head.fc_reg.weight"],
        "roi_heads.stages.0.mask_head.predictor.mask_fcn_logits.bias": state[
            "roi_head.mask_head.conv_logits.bias"
        ],
    }
    for key, tensor in expected.items():
        assert torch.equal(found[key], tensor), key
    # The background is the last of theirs and the first of ours.
    classes, own = (
        state["roi_head.bbox_head.fc_cls.weight"],
        found["roi_heads.stages.0.box_head.classes.weight"],
    )
    assert torch.equal(own[0], classes[5])
    assert torch.equal(own[1:], classes[:5])


@torch.no_grad()
def test_features_are_those_of_a_walk_through_the_file(tmp_path: Path) -> None:
    state = theirs(ratio=None)
    network = small(block=None, placement=None)
    load_detector_weights(network, ImageWeights(write(tmp_path / "plain.pth", state)))
    images = torch.randn(1, 3, 64, 64)

    def conv(name: str, x: Tensor, **settings: Any) -> Tensor:
        return torch.nn.functional.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), **settings)

    def norm(name: str, x: Tensor) -> Tensor:
        mean, variance, weight, bias = (
            state[f"{name}.{leaf}"][:, None, None]
            for leaf in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    x = norm("backbone.bn1", conv("backbone.conv1", images, stride=2, padding=3)).relu()
    x = torch.nn.functional.max_pool2d(x, 3, 2, 1)
    maps = []
    for stage, count in enumerate((3, 4, 6, 3)):
        for n in range(count):
            at, stride = f"backbone.layer{stage + 1}.{n}", 2 if stage and n == 0 else 1
            out = norm(f"{at}.bn1", conv(f"{at}.conv1", x)).relu()
            out = norm(f"{at}.bn2", conv(f"{at}.conv2", out, stride=stride, padding=1)).relu()
            out = norm(f"{at}.bn3", conv(f"{at}.conv3", out))
            if n == 0:
                x = norm(f"{at}.downsample.1", conv(f"{at}.downsample.0", x, stride=stride))
            x = (out + x).relu()
        maps.append(x)
    laterals = [conv(f"neck.lateral_convs.{n}.conv", map_) for n, map_ in enumerate(maps)]
    for n in (2, 1, 0):
        laterals[n] = laterals[n] + laterals[n + 1].repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = [conv(f"neck.fpn_convs.{n}.conv", map_, padding=1) for n, map_ in enumerate(laterals)]
    expected.append(expected[3][:, :, ::2, ::2])

    found = list(network.backbone(images).values())

    scale = max(float(map_.abs().max()) for map_ in expected)
    for one, other in zip(found, expected, strict=True):
        assert_close(one / scale, other / scale, rtol=0, atol=1e-5)


def test_offsets_may_have_the_name_of_older_files(tmp_path: Path) -> None:
    old, new = theirs(deformable=True, offsets="conv2_offset"), theirs(deformable=True)

    found = read_mmdetection(old, FILE).state

    expected = read_mmdetection(new, FILE).state
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in expected.items())


def first_version(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same under the names of mmdetection 1.x, whose heads have outputs for the background."""
    old = {key.removeprefix("roi_head."): tensor for key, tensor in state.items()}
    old["bbox_head.fc_reg.weight"] = torch.zeros(24, 16)
    old["mask_head.conv_logits.weight"] = torch.zeros(6, 8, 1, 1)
    return old


def test_heads_of_the_first_version_are_refused_by_what_they_show(tmp_path: Path) -> None:
    file = write(tmp_path / "old.pth", first_version(theirs()))
    network = small()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}

    shown = r"old\.pth: is of mmdetection 1\.x \(24 deltas of 6 classes with the background; 6 masks of 6 "
    with pytest.raises(ValueError, match=rf"{shown}.*model\.weights\.new: \[detector\]"):
        load_detector_weights(network, ImageWeights(file))

    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())


def test_backbones_of_the_first_version_are_taken_where_it_is_said(tmp_path: Path) -> None:
    state = theirs()
    network = small()
    heads = network.roi_heads.state_dict()

    load_detector_weights(
        network, ImageWeights(write(tmp_path / "old.pth", first_version(state)), new=["detector"])
    )

    written = write_mmdetection(network.state_dict())
    assert all(torch.equal(written[k], tensor) for k, tensor in state.items() if k.startswith("backbone."))
    assert all(torch.equal(heads[key], tensor) for key, tensor in network.roi_heads.state_dict().items())


def test_layers_that_know_classes_may_start_fresh(tmp_path: Path) -> None:
    state = theirs(num_classes=80)
    file = write(tmp_path / "coco.pth", state)
    network = small(num_classes=3)

    with pytest.raises(ValueError, match=r"the network knows 3 classes and the file 80; .*new: \[head\]"):
        load_detector_weights(network, ImageWeights(file))
    load_detector_weights(network, ImageWeights(file, new=["head"]))

    written = write_mmdetection(network.state_dict())
    left = {key for key, tensor in state.items() if written[key].shape != tensor.shape}
    assert {key.rpartition(".")[0].rpartition(".")[2] for key in left} == {"fc_cls", "fc_reg", "conv_logits"}
    assert all(torch.equal(written[key], tensor) for key, tensor in state.items() if key not in left)


def test_torchvisions_backbone_needs_the_rest_to_be_said_new(tmp_path: Path) -> None:
    network = small()
    plain = ContextResNet(**WIDTH).state_dict()
    file = tmp_path / "resnet50.pth"
    torch.save({**plain, "fc.weight": torch.zeros(1000, 128), "fc.bias": torch.zeros(1000)}, file)

    with pytest.raises(ValueError, match=r"a backbone and no detector; model\.weights\.new: \[detector\]"):
        load_detector_weights(network, ImageWeights(file))
    load_detector_weights(network, ImageWeights(file, new=["detector", "blocks"]))

    body = network.backbone.get_submodule("body").state_dict()
    assert all(torch.equal(body[key], tensor) for key, tensor in plain.items())


def test_checkpoints_of_ours_go_on(tmp_path: Path) -> None:
    trained, network = small(), small()
    for parameter in trained.parameters():
        torch.nn.init.normal_(parameter)
    file = tmp_path / "last.ckpt"
    torch.save({"state_dict": {f"network.{k}": v for k, v in trained.state_dict().items()}}, file)

    load_detector_weights(network, ImageWeights(file))

    assert all(torch.equal(tensor, trained.state_dict()[key]) for key, tensor in network.state_dict().items())


def test_a_module_of_a_task_starts_from_a_file_of_mmdetections(tmp_path: Path) -> None:
    class Task(ImageModule):
        training_step = validation_step = test_step = predict_step = writer = None  # pyright: ignore

    state = theirs()
    file = write(tmp_path / "of_theirs.pth", state)
    task = Task(small(), ["a"] * 5, weights=ImageWeights(file, format="mmdetection"))

    task.start_from_weights()

    written = write_mmdetection(task.network.state_dict())
    assert all(torch.equal(written[key], tensor) for key, tensor in state.items())


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"ratio": 2}, "the file is of another network; compare model.backbone"),
        ({"ratio": None}, r"the network has 13 context blocks and the file 0; .*new: \[blocks\]"),
        ({"cascade": True}, "the network has 1 stages and the file 3; set model.head to its kind"),
    ],
)
def test_files_of_other_networks_are_refused_with_what_would_do(
    tmp_path: Path, state: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load_detector_weights(small(), ImageWeights(write(tmp_path / "other.pth", theirs(**state))))


def test_tensors_without_a_layer_are_named(tmp_path: Path) -> None:
    state = {**theirs(), "roi_head.mask_iou_head.fc_mask_iou.weight": torch.zeros(1)}
    file = write(tmp_path / "scoring.pth", state)

    with pytest.raises(
        ValueError, match=r"no layer here for 1 .*roi_head\.mask_iou_head\.fc_mask_iou\.weight"
    ):
        load_detector_weights(small(), ImageWeights(file))
