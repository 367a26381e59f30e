"""What commands write is whole, or what was there before stays."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gcvideo.attention.pictures import draw_channels, write_gif, write_mp4
from gcvideo.backbones.checkpoints.files import write_state
from gcvideo.cli.export import write_onnx, write_program
from gcvideo.cli.predict import write
from gcvideo.data.synthetic import write_synthetic
from gcvideo.evaluation.predictions import PredictionTable

PICTURES = np.zeros((2, 16, 16, 3), dtype=np.uint8)


def write_predictions(file: Path) -> None:
    table = PredictionTable(["one", "two"])
    table.add(["a.mp4"], torch.tensor([[0.5, 0.5]]))
    table.write(file)


WRITERS: dict[str, Callable[[Path], None]] = {
    "map.gif": lambda file: write_gif(PICTURES, file),
    "map.mp4": lambda file: write_mp4(PICTURES, file),
    "channels.png": lambda file: draw_channels(torch.rand(3), file, title="weights"),
    "predictions.csv": write_predictions,
    "predictions.json": lambda file: write(file.parent, [], [], PredictionTable(["one", "two"])),
    "model.pt2": lambda file: write_program(nn.Flatten(), torch.zeros(2, 3, 2, 4, 4), file, opset=18),
    "model.onnx": lambda file: write_onnx(nn.Flatten(), torch.zeros(2, 3, 2, 4, 4), file, opset=18),
    "model.safetensors": lambda file: write_state(file, {"weight": torch.zeros(2)}),
    "dataset.json": lambda file: write_synthetic(file.parent),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_that_is_full_leaves_what_was_there(name: str, tmp_path: Path, monkeypatch) -> None:
    def full(file: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))

    monkeypatch.setattr("gcvideo.atomic.settle", full)
    file = tmp_path / name
    is_new = name == "dataset.json"  # which is never written over
    if not is_new:
        file.write_bytes(b"older")
    with pytest.raises(OSError, match="No space left on device"):
        WRITERS[name](file)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == (
        {} if is_new else {name: b"older"}
    )
