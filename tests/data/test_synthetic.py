"""The embedded data set: ordinary files, kept once written, whose class one frame does not show."""

import csv
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.frame import PictureType
from torch import Tensor, nn
from torch.nn import functional as F

from gcvideo.data.synthetic import write_synthetic
from gcvideo.data.synthetic_scene import (
    DIRECTIONS,
    LobedObject,
    paint,
    random_positions,
    random_video,
)

TINY = {
    "num_train_per_class": 2,
    "num_val_per_class": 1,
    "num_test_per_class": 1,
    "num_frames": 10,
    "fps": 5,
    "height": 32,
    "width": 48,
}


def write_tiny(root: Path, **changes: int) -> Path:
    write_synthetic(root, **(TINY | changes))
    return root


def decode(path: Path) -> np.ndarray:
    """All frames in order, [T H W 3], with nothing sought and nothing skipped."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def annotation_rows(root: Path, split: str) -> list[tuple[str, int]]:
    with (root / f"{split}.csv").open(newline="") as file:
        return [(row["path"], int(row["label"])) for row in csv.DictReader(file)]


def decode_split(root: Path, split: str) -> tuple[Tensor, Tensor]:
    """Videos [B 3 T H W], roughly standardised, and labels [B]."""
    rows = annotation_rows(root, split)
    videos = np.stack([decode(root / path) for path, _ in rows])
    pixels = torch.from_numpy(videos).permute(0, 4, 1, 2, 3)
    return (pixels.float() - 115) / 60, torch.tensor([label for _, label in rows])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("synthetic") / "tiny")


def test_every_file_is_ordinary_h264_with_the_stated_frames_rate_and_size(tiny: Path) -> None:
    for path in tiny.glob("*/*/*.mp4"):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames = list(container.decode(stream))
            assert stream.codec_context.name == "h264"
            assert stream.average_rate == 5
            assert [(f.format.name, f.height, f.width) for f in frames] == [("yuv420p", 32, 48)] * 10
            assert [f.key_frame for f in frames] == [True, *[False] * 4] * 2
            assert any(f.pict_type == PictureType.B for f in frames)


def test_annotations_list_every_file_once_with_the_label_of_its_class(tiny: Path) -> None:
    classes = (tiny / "classes.txt").read_text().splitlines()
    assert len(set(classes)) == 8
    listed = [row for split in ("train", "val", "test") for row in annotation_rows(tiny, split)]
    assert all(classes[label] == Path(path).parent.name for path, label in listed)
    written = [path.relative_to(tiny).as_posix() for path in tiny.rglob("*.mp4")]
    assert sorted(path for path, _ in listed) == sorted(written)
    assert len(written) == 8 * (2 + 1 + 1)


def test_no_two_videos_of_any_split_or_class_show_the_same(tiny: Path) -> None:
    first_frames = {decode(path)[0].tobytes() for path in tiny.rglob("*.mp4")}
    assert len(first_frames) == 8 * (2 + 1 + 1)


def test_a_video_depends_on_seed_split_class_and_number_only(tiny: Path, tmp_path: Path) -> None:
    larger = write_tiny(tmp_path / "larger", num_train_per_class=3, num_val_per_class=2)
    reseeded = write_tiny(tmp_path / "reseeded", seed=1)
    for path in tiny.rglob("*.mp4"):
        name = path.relative_to(tiny)
        assert (larger / name).read_bytes() == path.read_bytes()
        assert not np.array_equal(decode(reseeded / name), decode(path))


def test_decoded_frames_are_the_drawn_ones_up_to_coding_loss(tiny: Path) -> None:
    rng = np.random.default_rng([0, 2, 3, 0])  # seed, test, move_down, first
    drawn = random_video(rng, "move_down", num_frames=10, height=32, width=48)
    decoded = decode(tiny / "test" / "move_down" / "0000.mp4")
    luma = [0.299, 0.587, 0.114]  # colours are stored at half resolution, brightness is not
    error = np.mean(((drawn.astype(float) - decoded) @ luma) ** 2, axis=(1, 2))  # [T]
    assert np.all(10 * np.log10(255**2 / error) > 30)  # dB


def test_a_second_call_writes_what_is_missing_and_touches_nothing_else(tmp_path: Path) -> None:
    root = write_tiny(tmp_path / "set")
    files = [path for path in root.rglob("*") if path.is_file()]
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}
    content = {path: path.read_bytes() for path in files}
    deleted = {root / "train" / "move_up" / "0001.mp4", root / "val.csv"}
    for path in deleted:
        path.unlink()

    write_tiny(root)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == content
    kept = set(files) - deleted
    assert all((p.stat().st_mtime_ns, p.stat().st_ino) == before[p] for p in kept)


def test_a_folder_made_with_other_settings_is_refused_and_left_alone(tiny: Path) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in tiny.rglob("*"))
    with pytest.raises(ValueError, match=r"seed=7 was asked, .* seed=0; .*another folder"):
        write_tiny(tiny, seed=7)
    assert sorted((path, path.stat().st_mtime_ns) for path in tiny.rglob("*")) == before


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"no dataset\.json; expected a new or an empty folder"):
        write_tiny(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("height", 33), ("width", 16), ("num_frames", 0), ("num_val_per_class", 0), ("seed", -1)],
)
def test_a_setting_out_of_range_is_named(tmp_path: Path, setting: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{setting} is {value}; expected"):
        write_tiny(tmp_path / "set", **{setting: value})
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("motion", DIRECTIONS)
def test_an_object_moves_as_its_class_name_says(motion: str) -> None:
    """Measured on the picture: where the object's centre of mass goes."""
    video = np.zeros((2, 64, 96, 3), np.float32)
    position = np.array([[0.5, 0.5]] * 2)
    position[1] += 0.02 * np.array(DIRECTIONS[motion])
    white = np.ones((2, 3), np.float32)
    paint(video, LobedObject(3, 0.1, 0.5, radius=0.25, orientation=0.15, colours=white), position)

    weight = video.sum(axis=-1)  # [T H W]
    grid = np.stack(np.meshgrid(np.arange(96), np.arange(64)), axis=-1)  # [H W 2] of (x, y)
    centre = np.einsum("thw,hwc->tc", weight, grid) / weight.sum((1, 2))[:, None]
    words = motion.split("_")
    right = ("right" in words) - ("left" in words)
    down = ("down" in words) - ("up" in words)
    seen = (centre[1] - centre[0]) / (0.02 * 96, 0.02 * 64)
    np.testing.assert_allclose(seen, (right, down), atol=0.1)


@pytest.mark.parametrize("motion", DIRECTIONS)
@pytest.mark.parametrize("frame", [0, 17])
def test_the_position_in_any_frame_is_uniform_under_every_class(motion: str, frame: int) -> None:
    """Kolmogorov-Smirnov distance of x and of y from U[0, 1)."""
    rng = np.random.default_rng(0)
    positions = np.concatenate([random_positions(rng, motion, 18)[:, frame] for _ in range(500)])
    n = len(positions)
    distance = np.abs(np.sort(positions, axis=0) - (np.arange(n)[:, None] + 0.5) / n).max(axis=0)
    assert np.all(distance * np.sqrt(n) < 1.95)  # p > 0.001
    correlation = np.corrcoef(positions.T) - np.eye(2)
    assert np.abs(correlation).max() * np.sqrt(n) < 4


class FrameStackNetwork(nn.Sequential):
    """A small network on `num_frames` consecutive frames, stacked as channels."""

    def __init__(self, num_frames: int) -> None:
        def layer(inputs: int, outputs: int, size: int, stride: int) -> list[nn.Module]:
            convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
            return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]

        super().__init__(
            nn.Flatten(1, 2),
            *layer(3 * num_frames, 16, size=5, stride=2),
            *layer(16, 32, size=5, stride=2),
            *layer(32, 32, size=3, stride=1),
            nn.AdaptiveAvgPool2d(2),  # keeps roughly where things are
            nn.Flatten(),
            nn.Linear(32 * 2 * 2, len(DIRECTIONS)),
        )


def held_out_accuracy(root: Path, num_frames: int) -> float:
    """Train on stacks of frames at random times, test on all stacks of the held-out videos."""
    torch.manual_seed(0)
    train, train_label = decode_split(root, "train")
    test, test_label = decode_split(root, "test")
    last_start = train.shape[2] - num_frames
    network = FrameStackNetwork(num_frames)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    num_steps = 250
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=num_steps)
    for _ in range(num_steps):
        start = int(torch.randint(last_start + 1, ()))
        chosen = torch.randint(len(train), (24,))
        logits = network(train[chosen, :, start : start + num_frames])
        optimizer.zero_grad()
        F.cross_entropy(logits, train_label[chosen]).backward()
        optimizer.step()
        schedule.step()
    network.eval()
    with torch.no_grad():
        hits = [
            network(test[:, :, start : start + num_frames]).argmax(1) == test_label
            for start in range(last_start + 1)
        ]
    return torch.stack(hits).float().mean().item()


@pytest.mark.slow
def test_one_frame_is_worth_chance_and_three_frames_tell_the_class(tmp_path: Path) -> None:
    write_synthetic(
        tmp_path / "set",
        num_train_per_class=32,
        num_val_per_class=1,
        num_test_per_class=12,
        num_frames=12,
        height=48,
        width=64,
    )
    assert held_out_accuracy(tmp_path / "set", num_frames=1) < 0.22  # chance is 0.125
    assert held_out_accuracy(tmp_path / "set", num_frames=3) > 0.4
