"""Small sets of shapes with COCO's annotations, a small Mask R-CNN and short runs."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from gcvideo.images.synthetic.folders import write_synthetic_pictures


class TinyMaskRCNN(nn.Module):
    """torchvision's Mask R-CNN on one level of features, with heads of a few channels.

    Args:
        backbone: Gives c2 and its channels.
        num_classes: K, without the background.
        size: Short side of the pictures that the network sees.
    """

    def __init__(self, backbone: nn.Module, num_classes: int, *, size: int = 48) -> None:
        super().__init__()
        level = _OneLevel(backbone)
        self.detector = MaskRCNN(
            level,
            min_size=size,
            max_size=2 * size,
            rpn_anchor_generator=AnchorGenerator(((12, 24),), ((1.0,),)),
            box_roi_pool=MultiScaleRoIAlign(["0"], 3, 2),
            mask_roi_pool=MultiScaleRoIAlign(["0"], 4, 2),
            box_head=nn.Sequential(nn.Flatten(), nn.Linear(9 * level.out_channels, 16), nn.ReLU()),
            box_predictor=_TwoLinear(16, num_classes + 1),
            mask_head=nn.Conv2d(level.out_channels, 8, 3, padding=1),
            mask_predictor=nn.Conv2d(8, num_classes + 1, 1),
            rpn_pre_nms_top_n_train=50,
            rpn_post_nms_top_n_train=20,
            rpn_pre_nms_top_n_test=50,
            rpn_post_nms_top_n_test=20,
            rpn_batch_size_per_image=32,
            box_batch_size_per_image=16,
            box_score_thresh=0.0,
            box_detections_per_img=10,
        )

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None):
        return self.detector(images, targets)


class _OneLevel(nn.Module):
    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.out_channels: int = backbone.channels["c2"]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"0": self.backbone(images)["c2"]}


class _TwoLinear(nn.Module):
    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.scores = nn.Linear(channels, num_classes)
        self.boxes = nn.Linear(channels, 4 * num_classes)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.scores(features), self.boxes(features)


SETTINGS: Mapping[str, str] = {
    "--config": "base+coco_1x",
    "--model": "gcvideo.images.detection.Detector",
    "--data": "gcvideo.images.detection.CocoData",
    "--model.backbone": "tests.images.shapes.TinyBackbone",
    "--model.head": "tests.images.detection.parts.TinyMaskRCNN",
    "--model.learning_rate": "0.1",
    "--data.batch_size": "2",
    "--data.test_batch_size": "2",
    "--data.num_workers": "0",
    "--trainer.max_epochs": "2",
    "--trainer.log_every_n_steps": "1",
    "--trainer.accelerator": "cpu",
    "--trainer.devices": "1",
    "--trainer.enable_progress_bar": "false",
}


def command(name: str, root: Path, run_dir: Path, *more: str, **others: str) -> list[str]:
    """The words of `gcvideo image NAME` of a small run; others replace SETTINGS, as max_epochs="3"."""
    settings = {**SETTINGS, "--data.root": str(root), "--run_dir": str(run_dir)}
    for key, value in others.items():
        settings[next(known for known in settings if known.rpartition(".")[2] == key)] = value
    return ["image", name, *(word for pair in settings.items() for word in pair), *more]


def write_shapes(root: Path, *, num_train: int = 16, num_val: int = 11, size: int = 48) -> Path:
    """Write shapes with their boxes and masks."""
    write_synthetic_pictures(root, task="detection", num_train=num_train, num_val=num_val, size=size)
    return root
