"""What the paper's networks of pictures cost, against published and independently counted figures."""

import pandas as pd
import pytest
import torch
from torch import nn
from torchvision.models.resnet import Bottleneck

from gcvideo.cli import main
from gcvideo.images.backbones import DeformableConv
from gcvideo.images.complexity.counting import META, multiply_adds
from gcvideo.images.complexity.rows import IMAGENET, classifier

# G multiply-adds at 800 x 1344, counted on mmdetection's own classes: backbone, and all
COUNTED = {
    "mask r50": (87.581, 268.92),
    "mask r50+gc_r16": (87.717, 269.05),
    "mask r50+gc_r4": (87.725, 269.06),
    "mask r101": (167.129, 348.47),
    "mask r101+gc_r4": (167.428, 348.76),
    "mask x101+gc_r16": (171.026, 352.36),
    "cascade x101": (170.742, 485.69),
    "cascade x101+dcn": (182.06, 497.01),
    "cascade x101+dcn+gc_r4": (182.36, 497.31),
}
# mmdetection's page of GCNet
PARAMETERS = {
    "mask r50": 44.396,
    "mask r50+gc_r16": 46.918,
    "mask r101+gc_r4": 82.350,
    "mask x101": 63.017,
    "cascade x101+gc_r16": 100.733,
    "cascade x101+dcn+gc_r4": 117.479,
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame]:
    out = tmp_path_factory.mktemp("complexity")
    main(["complexity", "--paper", "images", "--out", str(out), "--rounds", "2", "--device", "cpu"])
    files = (out / f"complexity_{name}.csv" for name in ("imagenet", "coco"))
    assert (out / "complexity_images.md").is_file()
    imagenet, coco = (pd.read_csv(file, index_col="network") for file in files)
    return imagenet, coco


def test_the_row_of_imagenet_is_the_papers(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    imagenet, _ = tables
    assert list(imagenet["params_M"].round(2)) == list(imagenet["paper_params_M"]) == [25.56, 28.08]
    bare, with_blocks = imagenet["GFLOPs"]
    assert with_blocks - bare == pytest.approx(3.87 - 3.86, abs=0.005)
    assert bare == pytest.approx(4.089, abs=0.001)  # torchvision's page: 4.09
    assert imagenet["forward_ratio"].iloc[0].startswith("1.000")


def test_with_strides_in_the_1x1_convolutions_the_row_is_the_papers() -> None:
    """3.86 and 3.87 G: arXiv:1904.11492, on ImageNet."""
    found = []
    for name in IMAGENET:
        with META:
            network, picture = classifier(IMAGENET[name]).eval(), torch.zeros(1, 3, 224, 224)
        for residual in (part for part in network.modules() if isinstance(part, Bottleneck)):
            residual.conv1.stride, residual.conv2.stride = residual.conv2.stride, (1, 1)
        found.append(multiply_adds(network, picture)[0])
    assert found == [3_857_973_248, 3_866_685_440]
    assert [round(number / 1e9, 2) for number in found] == [3.86, 3.87]


def test_help_of_the_rows_is_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["complexity", "--paper", "images", "--help"])
    assert ended.value.code == 0
    assert "--time_backbones" in capsys.readouterr().out


def test_the_rows_of_coco_are_those_of_mmdetection(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    _, coco = tables
    assert len(coco) == 15
    for name, parameters in PARAMETERS.items():
        assert coco["params_M"][name] == pytest.approx(parameters, abs=0.001)
    for name, (backbone, total) in COUNTED.items():
        assert coco["backbone_GFLOPs"][name] == pytest.approx(backbone, abs=0.006)
        assert coco["GFLOPs"][name] == pytest.approx(total, abs=0.02)
    parts = coco.loc["mask r50", ["FPN_GFLOPs", "RPN_GFLOPs", "boxes_GFLOPs", "masks_GFLOPs"]]
    assert list(parts) == pytest.approx([60.899, 53.147, 14.30, 52.99], abs=0.006)


def test_a_deformable_convolution_counts_as_a_convolution_and_that_of_its_offsets() -> None:
    with META:
        convolution, deformable = (
            nn.Conv2d(8, 16, 3, padding=1, groups=4, bias=False),
            DeformableConv(8, 16, groups=4),
        )
        x = torch.zeros(2, 8, 5, 7)
    expected = 2 * 5 * 7 * 9 * (16 * 8 // 4)
    assert multiply_adds(convolution, x)[0] == expected
    assert multiply_adds(deformable, x)[0] == expected + 2 * 5 * 7 * 9 * 18 * 8
