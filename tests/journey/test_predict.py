"""`gcvideo predict` as a person would use it: files, folders and lists in, classes and timelines out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from gcvideo.cli import main
from gcvideo.data.decoding import open_video
from gcvideo.training import VideoClassifier
from tests.data.annotated import CLASS_NAMES
from tests.data.encoding import copy_packets, h264, with_data, write_video
from tests.journey.trained import write_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_checkpoint(tmp_path_factory.mktemp("run")))


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two videos, one below the other folder."""
    folder = tmp_path / "clips"
    (folder / "more").mkdir(parents=True)
    write_video(folder / "first.mp4", num_frames=40, options=h264(keyint=12))
    write_video(folder / "more" / "first.mp4", num_frames=21, options=h264(keyint=12))
    return folder


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta"])
def test_a_device_that_cannot_be_used_is_named(
    device: str, clips: Path, checkpoint: str, complaint: Callable[..., str]
) -> None:
    said = complaint(["predict", str(clips), "--checkpoint", checkpoint, "--device", device])
    assert f"device '{device}' cannot be used here" in said.splitlines()[-1]


def test_a_threshold_is_for_several_labels_alone(
    clips: Path, checkpoint: str, refused: Callable[..., str]
) -> None:
    line = refused(["predict", str(clips), "--checkpoint", checkpoint, "--threshold", "0.5"])
    assert "threshold is 0.5, and the network was trained for one class a video" in line


def test_a_folder_becomes_a_table_a_json_file_and_bars(
    clips: Path, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    main(["predict", str(clips), "--checkpoint", checkpoint, "--out", str(out)])
    table = pd.read_csv(out / "predictions.csv")
    assert list(table["video"]) == [str(clips / "first.mp4"), str(clips / "more" / "first.mp4")]
    falling = (
        table[["top1_probability", "top2_probability", "top3_probability"]].diff(axis=1).iloc[:, 1:] <= 0
    )
    assert falling.to_numpy().all()
    said = json.loads((out / "predictions.json").read_text())
    assert said["unreadable"] == []
    for video, row in zip(said["videos"], table.to_dict("records"), strict=True):
        assert video["video"] == row["video"]
        assert video["top"][0] == {"class": row["top1"], "probability": row["top1_probability"]}
    printed = capsys.readouterr().out
    assert table["top1"][0] in printed
    assert f"{table['top1_probability'][0]:.1%}" in printed


def test_the_probabilities_are_those_of_the_network_on_the_videos_views(
    clips: Path, checkpoint: str, tmp_path: Path
) -> None:
    arguments = ["--checkpoint", checkpoint, "--out", str(tmp_path / "out"), "--num_clips", "1"]
    main(["predict", str(clips / "first.mp4"), *arguments, "--num_crops", "1"])
    model = VideoClassifier.load_from_checkpoint(checkpoint, weights_only=True).eval()
    with open_video(clips / "first.mp4") as reader:
        # The middle clip of 4 frames at stride 4, a picture of 96 x 128 at short side 32, centre crop.
        frames = reader.frames_at([13, 17, 21, 25]).permute(3, 0, 1, 2).float()
    resized = torch.nn.functional.interpolate(
        frames.transpose(0, 1), size=(32, 43), mode="bilinear", antialias=True
    )
    centre = resized[..., 6:38].round().transpose(0, 1)[None, None]
    expected = model((centre / 255 - 0.45) / 0.225)[0]
    row = pd.read_csv(tmp_path / "out" / "predictions.csv").iloc[0]
    assert row["prediction"] == CLASS_NAMES[int(expected.argmax())]
    assert row["probability"] == pytest.approx(float(expected.max().detach()), abs=0.01)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "first.mp4\nmore/first.mp4\n"),
        ("list.csv", "label,path\n3,first.mp4\n0,more/first.mp4\n"),
        ("kinetics.csv", "first.mp4 3\nmore/first.mp4 0\n"),
        ("commas.csv", "first.mp4,3\nmore/first.mp4,0\n"),
    ],
)
def test_a_list_names_videos_relative_to_itself(
    name: str, text: str, clips: Path, checkpoint: str, tmp_path: Path
) -> None:
    (clips / name).write_text(text)
    out = tmp_path / "out"
    main(["predict", str(clips / name), "--checkpoint", checkpoint, "--out", str(out), "--num_clips", "1"])
    assert len(pd.read_csv(out / "predictions.csv")) == 2


def test_a_list_may_stand_elsewhere(clips: Path, checkpoint: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("first.mp4\n")
    out = tmp_path / "out"
    arguments = ["--checkpoint", checkpoint, "--out", str(out), "--num_clips", "1"]
    main(["predict", str(tmp_path / "list.txt"), "--root", str(clips), *arguments])
    assert list(pd.read_csv(out / "predictions.csv")["video"]) == [str(clips / "first.mp4")]


def test_a_timeline_has_a_plot_windows_and_segments_and_the_video_is_the_mean_over_its_windows(
    clips: Path, checkpoint: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    main(["predict", str(clips), "--timeline", "--checkpoint", checkpoint, "--out", str(out)])
    windows = pd.read_csv(out / "timeline.csv")
    videos = pd.read_csv(out / "predictions.csv").set_index("video")
    assert set(windows["video"]) == set(videos.index)
    for video, rows in windows.groupby("video"):
        # Three classes, so that the top five of a window are all of them.
        shares = pd.concat(
            [rows[[f"top{k}", f"top{k}_probability"]].set_axis(["name", "p"], axis=1) for k in (1, 2, 3)]
        )
        mean = shares.groupby("name")["p"].sum() / len(rows)
        assert mean[videos.loc[video, "top1"]] == pytest.approx(
            videos.loc[video, "top1_probability"], abs=1e-5
        )
    said = json.loads((out / "predictions.json").read_text())["videos"][0]
    assert said["segments"][0]["start_seconds"] == 0
    assert said["segments"][-1]["end_seconds"] == pytest.approx(40 / 25)
    assert {file.name for file in (out / "timelines").iterdir()} == {"first.png", "first-2.png"}


def test_annotated_copies_have_all_frames(clips: Path, checkpoint: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    main(
        [
            "predict",
            str(clips),
            "--annotate",
            "--num_clips",
            "1",
            "--checkpoint",
            checkpoint,
            "--out",
            str(out),
        ]
    )
    for name, num_frames in {"first": 40, "first-2": 21}.items():
        with open_video(out / "annotated" / f"{name}.mp4") as reader:
            assert len(reader) == num_frames


@pytest.mark.parametrize("extra", [[], ["--timeline"]])
def test_the_readable_videos_are_done_and_the_others_named(
    extra: list[str], clips: Path, checkpoint: str, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    (clips / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    out = tmp_path / "out"
    said = complaint(["predict", str(clips), *extra, "--checkpoint", checkpoint, "--out", str(out)])
    assert "1 of 3 videos could not be read" in said
    assert "noise.mp4" in said
    assert len(pd.read_csv(out / "predictions.csv")) == 2
    [unreadable] = json.loads((out / "predictions.json").read_text())["unreadable"]
    assert unreadable["video"].endswith("noise.mp4")


def test_a_video_that_is_damaged_behind_its_clips_is_predicted_and_has_no_copy(
    clips: Path, checkpoint: str, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    whole = write_video(tmp_path / "whole.mkv", num_frames=60, codec="mjpeg", pixel_format="yuvj420p")
    copy_packets(
        whole,
        clips / "damaged.mkv",
        lambda number, packet: with_data(packet, bytes(99)) if number == 50 else packet,
    )
    out = tmp_path / "out"
    arguments = ["--annotate", "--num_clips", "1", "--checkpoint", checkpoint, "--out", str(out)]
    said = complaint(["predict", str(clips), *arguments])
    assert "1 of 3 videos could not be read" in said
    assert "damaged.mkv: has no annotated copy: " in said
    assert len(pd.read_csv(out / "predictions.csv")) == 3
    assert {file.name for file in (out / "annotated").iterdir()} == {"first.mp4", "first-2.mp4"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{clips}/gone.mp4"], "gone.mp4: no such file or folder"),
        (["{empty}"], "no video in this folder"),
        (["{empty}/list.txt"], "lists no video"),
        (["{clips}", "--num_clips", "0"], "num_clips is 0; expected at least 1"),
        (["{clips}", "--hop_seconds", "1"], "hop_seconds is given without timeline"),
        (["{clips}", "--timeline", "--hop_seconds", "-1"], "hop_seconds is -1.0; expected more than 0"),
        (["{clips}", "--timeline", "--num_clips", "3"], "num_clips is given with timeline"),
        (["{clips}", "--out", "table.csv"], "out is table.csv; expected a folder"),
        (["{clips}", "--checkpoint", "{clips}/first.mp4"], "first.mp4: is neither safetensors nor"),
    ],
)
def test_bad_input_ends_in_one_line(
    arguments: list[str],
    said: str,
    clips: Path,
    checkpoint: str,
    tmp_path: Path,
    complaint: Callable[..., str],
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    if "list.txt" in arguments[0]:
        (empty / "list.txt").write_text("\n")
    filled = [argument.format(clips=clips, empty=empty) for argument in arguments]
    if "--checkpoint" not in filled:
        filled += ["--checkpoint", checkpoint]
    if "--out" not in filled:
        filled += ["--out", str(tmp_path / "out")]
    assert said in complaint(["predict", *filled]).strip().splitlines()[-1]
    shutil.rmtree(empty)


def test_a_checkpoint_of_weights_that_are_nan_predicts_nothing(
    clips: Path, checkpoint: str, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["network.blocks.0.norm.bias"][1] = torch.nan
    torch.save(content, tmp_path / "nan.ckpt")
    said = complaint(["predict", str(clips), "--checkpoint", str(tmp_path / "nan.ckpt")])
    assert "1 of its numbers are nan or infinite: blocks.0.norm.bias (1 of 4)" in said
