"""Every backbone stacked with every block, as the command builds them."""

from itertools import product
from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import nn

from gcvideo.images.backbones import ContextResNet

CONFIGS = Path(__file__).parents[3] / "configs" / "images"
BACKBONES = ["resnet50", "resnet101", "resnext101_32x4d"]
BLOCKS = sorted(file.stem for file in (CONFIGS / "block").glob("*.yaml"))


@pytest.mark.parametrize(("backbone", "block"), list(product(BACKBONES, [None, "dcn", *BLOCKS])))
def test_files_stack(backbone: str, block: str | None) -> None:
    parser = ArgumentParser()
    parser.add_argument("--config", action="config")
    parser.add_argument("--model.backbone", type=nn.Module)
    files = [CONFIGS / "backbone" / f"{backbone}.yaml"]
    files += [CONFIGS / ("backbone" if block == "dcn" else "block") / f"{block}.yaml"] if block else []
    settings = parser.parse_args([part for file in files for part in ("--config", str(file))])
    with torch.device("meta"):
        network = parser.instantiate_classes(settings)["model.backbone"]
    assert isinstance(network, ContextResNet)
    assert bool(network.placed) == (block in BLOCKS)
