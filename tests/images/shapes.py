"""Small sets of shapes, a small backbone and short runs of `gcvideo image`."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from gcvideo.images.synthetic.folders import write_synthetic_pictures


class TinyBackbone(nn.Module):
    """Two convolutions and a batch norm, by the names that tasks ask for.

    Args:
        width: Channels of c5.
    """

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.channels = {"c2": 4, "c5": width}
        self.conv1 = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.2)
        self.conv2 = nn.Conv2d(4, width, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        c2 = self.bn1(self.conv1(images)).relu()
        return {"c2": c2, "c5": self.conv2(self.dropout(c2)).relu()}


SETTINGS: Mapping[str, str] = {
    "--config": "base+folder",
    "--model.backbone": "tests.images.shapes.TinyBackbone",
    "--data.crop_size": "32",
    "--data.resize_size": "36",
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


def write_shapes(root: Path, *, num_train: int = 24, num_val: int = 10) -> Path:
    """Write shapes as folders of six classes."""
    write_synthetic_pictures(root, task="classification", num_train=num_train, num_val=num_val, size=40)
    return root
