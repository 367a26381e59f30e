"""The paper's networks of pictures, by the configuration files that they are stacked from."""

from typing import NamedTuple

from jsonargparse import ArgumentParser
from torch import nn

from gcvideo.images.classification import ClassificationNetwork
from gcvideo.images.detection.networks import CascadeMaskRCNN, MaskRCNN
from gcvideo.images.detection.networks.mask_rcnn import PyramidRCNN
from gcvideo.paths import shipped_config

NUM_IMAGENET_CLASSES = 1000
NUM_COCO_CLASSES = 80


class ImageNetRow(NamedTuple):
    """A row of GCNet's ImageNet table (arXiv:1904.11492): parameters in millions, and GFLOPs."""

    files: tuple[str, ...]
    parameters_millions: float
    gflops: float


class CocoRow(NamedTuple):
    """A row of mmdetection's page of GCNet: AP of boxes and masks of its runs with shared batch norms."""

    files: tuple[str, ...]
    kind: type[MaskRCNN] | type[CascadeMaskRCNN]
    box_ap: float
    mask_ap: float


IMAGENET = {
    "resnet50": ImageNetRow(("backbone/resnet50",), 25.56, 3.86),
    "resnet50+gc_r16": ImageNetRow(("backbone/resnet50", "block/gc_r16"), 28.08, 3.87),
}

R50, R101, X101 = "backbone/resnet50", "backbone/resnet101", "backbone/resnext101_32x4d"
DCN, R16, R4 = "backbone/dcn", "block/gc_r16", "block/gc_r4"
COCO = {
    "mask r50": CocoRow((R50,), MaskRCNN, 38.4, 34.6),
    "mask r50+gc_r16": CocoRow((R50, R16), MaskRCNN, 40.4, 36.2),
    "mask r50+gc_r4": CocoRow((R50, R4), MaskRCNN, 40.7, 36.5),
    "mask r101": CocoRow((R101,), MaskRCNN, 40.5, 36.3),
    "mask r101+gc_r16": CocoRow((R101, R16), MaskRCNN, 42.2, 37.8),
    "mask r101+gc_r4": CocoRow((R101, R4), MaskRCNN, 42.2, 37.8),
    "mask x101": CocoRow((X101,), MaskRCNN, 42.4, 37.7),
    "mask x101+gc_r16": CocoRow((X101, R16), MaskRCNN, 43.5, 38.6),
    "mask x101+gc_r4": CocoRow((X101, R4), MaskRCNN, 43.9, 39.0),
    "cascade x101": CocoRow((X101,), CascadeMaskRCNN, 44.7, 38.6),
    "cascade x101+gc_r16": CocoRow((X101, R16), CascadeMaskRCNN, 46.2, 39.7),
    "cascade x101+gc_r4": CocoRow((X101, R4), CascadeMaskRCNN, 46.4, 40.1),
    "cascade x101+dcn": CocoRow((X101, DCN), CascadeMaskRCNN, 47.5, 40.9),
    "cascade x101+dcn+gc_r16": CocoRow((X101, DCN, R16), CascadeMaskRCNN, 48.0, 41.3),
    "cascade x101+dcn+gc_r4": CocoRow((X101, DCN, R4), CascadeMaskRCNN, 47.9, 41.1),
}


def backbone(files: tuple[str, ...]) -> nn.Module:
    """Return the backbone that files of configs/images say, the last one winning.

    Raises:
        ValueError: There is no such file.
    """
    parser = ArgumentParser()
    parser.add_argument("--config", action="config")
    parser.add_argument("--model.backbone", type=nn.Module)
    named = [f"--config={shipped_config(f'images/{file}.yaml')}" for file in files]
    return parser.instantiate_classes(parser.parse_args(named))["model.backbone"]


def classifier(row: ImageNetRow) -> ClassificationNetwork:
    """Return the network of a row, with ImageNet's classes."""
    return ClassificationNetwork(backbone(row.files), NUM_IMAGENET_CLASSES)


def detector(row: CocoRow) -> PyramidRCNN:
    """Return the network of a row, with COCO's classes."""
    return row.kind(backbone(row.files), NUM_COCO_CLASSES)
