"""Training clips by an augmentation of the user's own, and a data module named by its class."""

from gcvideo.cli import main
from tests.doors.own import dataset, ends_apart, fit, write_module

DARKEN = '''
import torch
from torchvision.transforms.v2 import functional as TF

from gcvideo.data import FrameTransform


class Darken(FrameTransform):
    """Centre crops, all frames of a clip darker by one random factor."""

    def __init__(self, crop_size: int, at_least: float = 0.2) -> None:
        self.crop_size, self.at_least = crop_size, at_least

    def transform(self, frames):
        factor = torch.empty(()).uniform_(self.at_least, 1)
        return (TF.center_crop(TF.resize(frames, self.crop_size), self.crop_size) * factor).to(torch.uint8)
'''


def darken(at_least: float) -> dict:
    return {
        "class_path": "darken.Darken",
        "init_args": {"crop_size": 32, "at_least": at_least},
    }


def test_an_augmentation_of_ones_own_is_drawn_alike_however_many_processes_read(
    tmp_path, monkeypatch, refused
):
    write_module(tmp_path / "module", monkeypatch, "darken", DARKEN)
    root = dataset(tmp_path / "videos")
    cases = {"alone": (0.2, 0), "by two": (0.2, 2), "bright": (1.0, 0)}
    for name, (at_least, num_workers) in cases.items():
        data = {"train_transform": darken(at_least), "num_workers": num_workers}
        fit(tmp_path / name, root, "--data=gcvideo.data.KineticsDataModule", data=data)
    assert ends_apart(tmp_path / "by two", tmp_path / "alone") == []
    assert "state_dict" in ends_apart(tmp_path / "bright", tmp_path / "alone")

    # The checkpoint brings the class back, once its module is trusted.
    checkpoint = str(tmp_path / "alone" / "run" / "checkpoints" / "last.ckpt")
    test = ["test", "--ckpt_path", checkpoint, "--trust", "tests"]
    assert "--trust darken lets it be imported" in refused(test, code=2)
    main([*test, "--trust", "darken"])
    assert (tmp_path / "alone" / "run" / "test_metrics.json").is_file()
