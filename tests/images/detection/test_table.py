"""The fifteen rows of mmdetection's page of GCNet."""

from functools import partial
from typing import Any

import pytest
import torch

from gcvideo.blocks import GlobalContextBlock
from gcvideo.images.backbones import ContextResNet, ImagePlacement
from gcvideo.images.detection.mmdetection import write_mmdetection
from gcvideo.images.detection.networks import CascadeMaskRCNN, MaskRCNN
from tests.images.detection.layout import detector

R50: dict[str, Any] = {"depth": 50}
R101: dict[str, Any] = {"depth": 101}
X101: dict[str, Any] = {"depth": 101, "groups": 32, "width_per_group": 4}
DCN: dict[str, Any] = {**X101, "deformable": ["c3", "c4", "c5"]}

ROWS = [
    (MaskRCNN, R50, None, 44_396_336, 44_170_992, 360),
    (MaskRCNN, R50, 16, 46_918_077, 46_692_733, 464),
    (MaskRCNN, R50, 4, 54_397_245, 54_171_901, 464),
    (MaskRCNN, R101, None, 63_388_464, 63_163_120, 666),
    (MaskRCNN, R101, 16, 68_176_526, 67_951_182, 906),
    (MaskRCNN, R101, 4, 82_350_158, 82_124_814, 906),
    (MaskRCNN, X101, None, 63_017_008, 62_801_648, 666),
    (MaskRCNN, X101, 16, 67_805_070, 67_589_710, 906),
    (MaskRCNN, X101, 4, 81_978_702, 81_763_342, 906),
    (CascadeMaskRCNN, X101, None, 95_945_278, 95_729_918, 706),
    (CascadeMaskRCNN, X101, 16, 100_733_340, 100_517_980, 946),
    (CascadeMaskRCNN, X101, 4, 114_906_972, 114_691_612, 946),
    (CascadeMaskRCNN, DCN, None, 98_517_082, 98_301_722, 766),
    (CascadeMaskRCNN, DCN, 16, 103_305_144, 103_089_784, 1006),
    (CascadeMaskRCNN, DCN, 4, 117_478_776, 117_263_416, 1006),
]


@pytest.mark.parametrize(("kind", "backbone", "ratio", "total", "trainable", "num_keys"), ROWS)
def test_rows_have_the_parameters_and_keys_of_the_page(
    kind: Any, backbone: dict[str, Any], ratio: int | None, total: int, trainable: int, num_keys: int
) -> None:
    blocks: dict[str, Any] = {}
    if ratio is not None:
        blocks["block"] = partial(GlobalContextBlock, reduction_ratio=ratio)
        blocks["placement"] = ImagePlacement(c3="all", c4="all", c5="all", position="after_1x1")
    with torch.device("meta"):
        network = kind(ContextResNet(**backbone, **blocks, frozen_stages=1), 80)
    theirs = detector(
        backbone["depth"],
        groups=backbone.get("groups", 1),
        per_group=backbone.get("width_per_group", 64),
        ratio=ratio,
        deformable="deformable" in backbone,
        cascade=kind is CascadeMaskRCNN,
    )

    assert sum(p.numel() for p in network.parameters()) == total
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == trainable
    assert len(network.state_dict()) == num_keys
    written = write_mmdetection(network.state_dict())
    assert {key: tuple(tensor.shape) for key, tensor in written.items()} == theirs


def test_parts_have_the_parameters_of_mmdetections() -> None:
    with torch.device("meta"):
        mask, cascade = MaskRCNN(ContextResNet(), 80), CascadeMaskRCNN(ContextResNet(), 80)

    def count(network: torch.nn.Module) -> int:
        return sum(p.numel() for p in network.parameters())

    assert count(mask.backbone.get_submodule("fpn")) == 3_344_384
    assert count(mask.rpn) == 593_935
    assert count(mask.roi_heads) == 16_949_985
    assert count(cascade.roi_heads) == 49_878_255
