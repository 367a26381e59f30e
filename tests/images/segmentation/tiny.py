"""A backbone of output stride 8 that is made and run in no time, and short runs of `gcvideo image`."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from gcvideo.images.synthetic.folders import write_synthetic_pictures


class TinyDilated(nn.Module):
    """Three convolutions of stride 2 and a batch norm.

    Args:
        width: Channels of c5.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.channels = {"c5": width}
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.dropout = nn.Dropout(0.2)
        self.conv3 = nn.Conv2d(8, width, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.bn1(self.conv1(images)).relu()
        return {"c5": self.conv3(self.dropout(self.conv2(features).relu())).relu()}


SETTINGS: Mapping[str, str] = {
    "--config": "base+segmentation+masks",
    "--model.backbone": "tests.images.segmentation.tiny.TinyDilated",
    "--data.crop_size": "32",
    "--data.batch_size": "4",
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


def write_shapes(root: Path, *, num_train: int = 24, num_val: int = 9) -> Path:
    """Write pictures of shapes and their masks."""
    write_synthetic_pictures(root, task="segmentation", num_train=num_train, num_val=num_val, size=40)
    return root
