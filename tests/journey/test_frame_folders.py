"""Videos as folders of pictures, through every command, beside the same videos as files."""

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from gcvideo.cli import main
from gcvideo.data.decoding import open_video
from tests.data.annotated import write_dataset
from tests.doors.own import ends_apart, fit_with_a_stop
from tests.training.runs import write_config

FPS = 25
"""Of the videos that `write_dataset` writes."""


def extracted(videos: Path, folder: Path) -> Path:
    """The same data set with every video as a folder of PNG files, and lists that count them."""
    lengths = {}
    for file in sorted(videos.glob("*.mp4")):
        (folder / file.stem).mkdir(parents=True)
        with open_video(file) as reader:
            lengths[file.stem] = len(reader)
            for number, frame in enumerate(reader.frames_at(range(len(reader))).numpy(), start=1):
                Image.fromarray(frame).save(folder / file.stem / f"img_{number:05}.png")
    for file in videos.glob("*.csv"):
        rows = [line.split(",") for line in file.read_text().splitlines()[1:]]
        stems = [(Path(path).stem, label) for path, label in rows]
        (folder / file.name).write_text("".join(f"{stem} {lengths[stem]} {label}\n" for stem, label in stems))
    shutil.copy(videos / "classes.txt", folder)
    return folder


def rows(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text().splitlines()))


def test_folders_train_and_are_tested_as_files_are(
    tmp_path: Path, refused: Callable[..., str], complaint: Callable[..., str]
) -> None:
    videos = write_dataset(tmp_path / "videos", train=6, val=2, test=3)
    folders = extracted(videos, tmp_path / "folders")
    frames = {"source": "frames", "frames": {"template": "img_{:05}.png", "fps": FPS}}
    fit_with_a_stop(tmp_path / "files", videos)
    fit_with_a_stop(tmp_path / "pictures", folders, data={**frames, "num_workers": 2})
    assert ends_apart(tmp_path / "pictures", tmp_path / "files") == []

    # Tested, and predicted from the folders' names alone
    found = {}
    for name, root in {"files": videos, "pictures": folders}.items():
        run = tmp_path / name / "run"
        checkpoint = str(run / "checkpoints" / "last.ckpt")
        main(["test", "--config", str(run / "config.yaml"), "--ckpt_path", checkpoint])
        out = tmp_path / name / "out"
        given = ["--checkpoint", checkpoint, "--out", str(out), "--trust", "tests"]
        videos_of = [str(root / (stem + (".mp4" if name == "files" else ""))) for stem in ("00", "01")]
        main(["predict", *videos_of, *given, "--timeline", "--annotate"])
        assert (out / "annotated" / "00.mp4").is_file()
        tables = run / "predictions.csv", out / "predictions.csv", out / "timeline.csv"
        found[name] = [list(row.values())[1:] for table in tables for row in rows(table)]
        main(["report", str(run), "--out", str(tmp_path / f"{name}.html"), "--trust", "tests"])
    assert found["pictures"] == found["files"]

    # The whole folder of folders, and what is damaged in one
    (folders / "01" / "img_00003.png").unlink()
    said = complaint(["predict", str(folders), *given])
    assert "01: pictures are missing: number 3 of 1..15; extract the video again" in said
    frames["frames"] = {"template": "frame{}.png"}
    config = str(write_config(tmp_path / "third", folders, data=frames))
    said = refused(["fit", "--config", config])
    assert re.search(r"holds 1\d pictures, such as 'img_00001.png'; expected frame1.png \(frames.templ", said)
