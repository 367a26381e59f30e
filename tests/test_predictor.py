"""gcvideo from Python, held to the commands."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gcvideo
from gcvideo.cli import main
from gcvideo.data.decoding import DecodeError, open_video
from tests.data.encoding import h264, write_video
from tests.journey.trained import write_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("videos") / "a.mp4"
    write_video(file, num_frames=31, options=h264(keyint=12))
    return file


@pytest.fixture(scope="module")
def predict(checkpoint: Path) -> gcvideo.Predictor:
    return gcvideo.load(checkpoint, device="cpu", num_clips=3)


def test_a_video_is_recognised_as_by_the_command(predict, checkpoint, video, tmp_path) -> None:
    main(["predict", str(video), "--checkpoint", str(checkpoint), "--num_clips", "3", "--out", str(tmp_path)])
    row = pd.read_csv(tmp_path / "predictions.csv").iloc[0]
    found = predict(video)
    for rank, (name, probability) in enumerate(found.top, start=1):
        assert name == row[f"top{rank}"]
        assert probability == pytest.approx(row[f"top{rank}_probability"], abs=1e-6)
    assert found.top[0].probability == found.probabilities.max()
    assert predict.class_names[found.probabilities.argmax()] == found.top[0].name

    one_row = ["--checkpoint", str(checkpoint), "--num_clips", "3", "--per", "clip"]
    main(["features", str(video), *one_row, "--out", str(tmp_path / "features.npz")])
    written, features = np.load(tmp_path / "features.npz"), predict.features(str(video))
    assert features.features.numpy() == pytest.approx(written["features"], abs=1e-6)
    assert [span.start_seconds for span in features.spans] == written["start_seconds"].tolist()


def test_frames_in_memory_are_seen_as_those_of_the_file(predict, video) -> None:
    with open_video(video) as reader:
        frames = reader.frames_at(range(len(reader)))
    expected = predict(video).probabilities
    assert torch.equal(predict(frames).probabilities, expected)
    assert torch.equal(predict(frames.numpy()).probabilities, expected)
    both = predict.many(torch.stack([frames, frames.flip(0)]))
    assert torch.equal(both[0].probabilities, expected)
    assert not torch.equal(both[1].probabilities, expected)
    assert torch.equal(predict.features(frames).features, predict.features(video).features)
    maps, of_file = predict.attention(frames), predict.attention(video)
    assert maps.keys() == of_file.keys() != set()
    side, num_frames = predict.views.crop_size, predict.data.clip.num_frames
    for name, layers in maps.items():
        assert layers.legend == "attention weight relative to a uniform one"
        for layer, other in zip(layers.layers, of_file[name].layers, strict=True):
            assert layer.values.shape == (num_frames, side, side)
            assert torch.equal(layer.values, other.values)
    assert predict.complexity().parameters == sum(weight.numel() for weight in predict.network.parameters())


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        (torch.zeros(4, 24, 24, 3), r"float32 \[4, 24, 24, 3\]; expected RGB, uint8 \[T H W 3\]"),
        (np.zeros((0, 24, 24, 3), np.uint8), r"uint8 \[0, 24, 24, 3\]"),
        (np.zeros((4, 3, 24, 24), np.uint8), r"uint8 \[4, 3, 24, 24\]"),
        (np.zeros((2, 4, 24, 24, 3), np.uint8), r"several videos are for \.many"),
    ],
)
def test_frames_that_are_none_are_said(predict, frames, said) -> None:
    with pytest.raises(ValueError, match=said):
        predict(frames)


def test_what_cannot_be_read_or_made_is_named(predict, tmp_path) -> None:
    with pytest.raises(DecodeError, match=r"none\.mp4"):
        predict(tmp_path / "none.mp4")
    with pytest.raises(ValueError, match=r"none\.ckpt: no such checkpoint"):
        gcvideo.load(tmp_path / "none.ckpt")
    with pytest.raises(ValueError, match="did you mean slow_r50_gc_all"):
        gcvideo.create("slow_r50_gc_al", num_classes=2)
    with pytest.raises(ValueError, match=r"no model\.network in them"):
        gcvideo.create("base", num_classes=2)
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = gcvideo.lode


def test_a_network_has_the_name_of_its_configuration() -> None:
    network = gcvideo.create("slow_r18+gc_all", num_classes=7).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 4, 32, 32)).shape == (2, 7)
    assert any(".context." in name for name in network.state_dict())


def test_the_lines_of_the_readme_run(checkpoint, video) -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text()
    (lines,) = re.findall(r"```python\n(import gcvideo\n.*?)```", text, re.DOTALL)
    lines = lines.replace("runs/my_clips/checkpoints/best.ckpt", str(checkpoint))
    names = {"frames": torch.zeros(9, 24, 24, 3, dtype=torch.uint8)}
    exec(lines.replace("match.mp4", str(video)), names)
    assert isinstance(names["network"], torch.nn.Module)


def test_gcvideo_is_imported_without_torch() -> None:
    code = (
        "import sys, gcvideo; assert 'torch' not in sys.modules; gcvideo.load; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
