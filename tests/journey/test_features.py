"""`gcvideo features`: what the last layer reads, in a file that survives being interrupted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gcvideo.cli import main
from gcvideo.cli.inputs import load
from gcvideo.clip import Span, VideoRecord
from gcvideo.prediction import features as module
from gcvideo.prediction.features import FeatureFile, VideoFeatures
from tests.data.encoding import h264, write_video
from tests.journey.trained import write_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run"))


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for number, length in enumerate((20, 25, 30)):
        write_video(folder / f"{number}.mp4", num_frames=length, options=h264(keyint=12))
    return folder


def test_the_last_layer_makes_the_prediction_of_the_features(
    clips: Path, checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "features.npz"
    one_view = ["--checkpoint", str(checkpoint), "--num_clips", "1", "--num_crops", "1"]
    main(["features", str(clips), *one_view, "--out", str(out)])
    main(["predict", str(clips), *one_view, "--out", str(tmp_path / "predictions")])
    written = np.load(out)
    model, _ = load(checkpoint, device="cpu")
    with torch.inference_mode():
        logits = model.network.blocks[-1].proj(torch.from_numpy(written["features"]))
    table = pd.read_csv(tmp_path / "predictions" / "predictions.csv")
    assert written["video"].tolist() == table["video"].tolist()
    assert logits.softmax(1).max(1).values.tolist() == pytest.approx(table["probability"].tolist(), abs=1e-5)


def test_a_video_is_the_mean_over_its_clips_and_parquet_holds_what_npz_holds(
    clips: Path, checkpoint: Path, tmp_path: Path
) -> None:
    common = ["features", str(clips), "--checkpoint", str(checkpoint), "--num_clips", "3", "--num_crops", "2"]
    main([*common, "--per", "clip", "--out", str(tmp_path / "clips.parquet")])
    main([*common, "--per", "video", "--out", str(tmp_path / "videos.npz")])
    table = pd.read_parquet(tmp_path / "clips.parquet")
    assert table["clip"].tolist() == [0, 1, 2] * 3
    means = np.stack([np.stack(list(rows["features"])).mean(0) for _, rows in table.groupby("video")])
    assert np.load(tmp_path / "videos.npz")["features"] == pytest.approx(means, abs=1e-5)
    first, second = np.stack(list(table["features"]))[:2]
    assert np.abs(first - second).max() > 1e-4


def test_an_interrupted_extraction_goes_on_and_gives_the_same_file(
    clips: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["features", str(clips), "--checkpoint", str(checkpoint), "--num_clips", "1"]
    main([*arguments, "--out", str(tmp_path / "whole.npz")])

    of_parts = FeatureFile.__init__
    monkeypatch.setattr(
        FeatureFile, "__init__", lambda *given, **named: of_parts(*given, **named, videos_per_part=1)
    )
    done: list[Path] = []
    write_part = FeatureFile.write_part

    def stop_after_two(self: FeatureFile, videos: list, first: Path) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        write_part(self, videos, first)
        done.append(first)

    monkeypatch.setattr(FeatureFile, "write_part", stop_after_two)
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--out", str(tmp_path / "parts.npz")])
    assert ended.value.code == 130
    assert not (tmp_path / "parts.npz").exists()
    done.clear()
    main([*arguments, "--out", str(tmp_path / "parts.npz")])
    assert [video.path.name for video in done] == ["2.mp4"]
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "parts.npz") as parts:
        assert all(np.array_equal(whole[name], parts[name]) for name in ("video", "features"))
    assert not (tmp_path / "parts.npz.parts").exists()


def test_parts_of_another_extraction_are_refused(tmp_path: Path) -> None:
    videos = [VideoRecord.unlabelled(Path(name)) for name in ("a.mp4", "b.mp4")]
    FeatureFile(tmp_path / "f.npz", per="video", settings={"views": 1}, videos=videos)
    with pytest.raises(ValueError, match=r"parts of another extraction \(views differ\)"):
        FeatureFile(tmp_path / "f.npz", per="video", settings={"views": 2}, videos=videos)
    with pytest.raises(ValueError, match=r"\(per differ\)"):
        FeatureFile(tmp_path / "f.npz", per="clip", settings={"views": 1}, videos=videos)


def test_unreadable_videos_are_left_out_and_named(
    clips: Path, checkpoint: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    (clips / "1b.mp4").write_bytes(b"no video")
    out = tmp_path / "features.npz"
    said = complaint(["features", str(clips), "--checkpoint", str(checkpoint), "--out", str(out)])
    assert "1 of 4 videos could not be read" in said
    assert "1b.mp4" in said
    assert [Path(video).name for video in np.load(out)["video"]] == ["0.mp4", "1.mp4", "2.mp4"]
    assert "1b.mp4" in (tmp_path / "features.npz.unreadable.txt").read_text()


def test_a_network_without_features_is_named() -> None:
    views = torch.zeros(1, 3, 2, 4, 4)
    with pytest.raises(ValueError, match="Linear has no method features"):
        module.clip_features(torch.nn.Linear(2, 2), views, num_crops=1, views_per_forward=1)


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["--out", "features.txt"], "out is features.txt; expected a file ending in .npz or .parquet", 1),
        (["--per", "frame"], "per", 2),
        (["--num_crops", "0"], "num_crops is 0; expected at least 1", 1),
    ],
)
def test_bad_arguments_end_in_one_line(
    arguments: list[str], said: str, code: int, clips: Path, checkpoint: Path, complaint: Callable[..., str]
) -> None:
    command = ["features", str(clips), "--checkpoint", str(checkpoint)]
    assert said in complaint([*command, *arguments], code=code)


def test_rows_follow_the_list_even_where_videos_have_different_numbers_of_clips(tmp_path: Path) -> None:
    videos = [VideoRecord.unlabelled(Path(name)) for name in ("b.mp4", "a.mp4")]
    file = FeatureFile(tmp_path / "f.npz", per="clip", settings={}, videos=videos, videos_per_part=1)
    for number in (1, 0):  # the second part first
        rows = torch.full((number + 1, 2), float(number))
        spans = [Span(float(clip), clip + 2.0) for clip in range(number + 1)]
        file.write_part([VideoFeatures(videos[number], rows, spans)], videos[number])
    assert file.finish() == []
    written = np.load(tmp_path / "f.npz")
    assert written["video"].tolist() == ["b.mp4", "a.mp4", "a.mp4"]
    assert written["clip"].tolist() == [0, 0, 1]
    assert written["start_seconds"].tolist() == [0, 0, 1]
    assert written["end_seconds"].tolist() == [2, 2, 3]
    assert written["features"].tolist() == [[0, 0], [1, 1], [1, 1]]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_clips_have_the_times_that_the_file_states_for_their_frames(
    num_workers: int, checkpoint: Path, tmp_path: Path
) -> None:
    times_ms = [40 * i for i in range(10)] + [400 + 100 * i for i in range(15)]
    write_video(tmp_path / "uneven.mp4", num_frames=25, times_ms=times_ms, options=h264(keyint=12))
    out = tmp_path / "features.parquet"
    arguments = ["--checkpoint", str(checkpoint), "--num_clips", "3", "--per", "clip", "--out", str(out)]
    main(["features", str(tmp_path / "uneven.mp4"), *arguments, "--num_workers", str(num_workers)])
    table = pd.read_parquet(out)
    # Clips of 4 frames at stride 4 start with frames 0, 6 and 12, and end with frames 12, 18 and 24.
    assert table["start_seconds"].tolist() == pytest.approx([0, 0.24, 0.6])
    assert table["end_seconds"].tolist() == pytest.approx(
        [0.7, 1.3, 1.84]
    )  # the file says 40 ms of its last frame
