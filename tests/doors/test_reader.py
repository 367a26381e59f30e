"""Files that only the user can read, by a reader of their own."""

import json

import numpy as np
import pandas as pd

from gcvideo.cli import main
from gcvideo.data.decoding import open_video
from tests.doors.own import dataset, ends_apart, fit_with_a_stop, write_module

READER = '''
from pathlib import Path

import numpy as np
import torch

from gcvideo.data.decoding import AscendingReader, DecodeError


class ArrayReader(AscendingReader):
    """Reads pictures [N H W 3] from a file of numpy."""

    def __init__(self, path: Path, fps: float = 25.0) -> None:
        try:
            self.pictures = np.load(path)
        except ValueError as error:
            raise DecodeError(f"{path}: is no file of numpy ({error}); write it again") from error
        num_frames, height, width = self.pictures.shape[:3]
        super().__init__(path, num_frames=num_frames, fps=fps, size=(width, height), name="numpy")

    def boundaries(self):
        return torch.arange(len(self) + 1, dtype=torch.float64) / self.fps

    def decode(self, ascending, part_size):
        for first in range(0, len(ascending), part_size):
            yield torch.from_numpy(self.pictures[ascending[first : first + part_size]])

    def close(self) -> None:
        del self.pictures
'''
OWN = {"reader": {"class_path": "own_reader.ArrayReader", "init_args": {"fps": 25.0}}}


def test_a_reader_of_ones_own_trains_tests_and_predicts_as_the_videos_do(tmp_path, monkeypatch, refused):
    write_module(tmp_path / "own", monkeypatch, "own_reader", READER)
    videos = dataset(tmp_path / "videos")
    fit_with_a_stop(tmp_path / "expected", videos)

    # The same pictures as arrays, one of which is none, and lists of them.
    arrays = tmp_path / "arrays"
    arrays.mkdir()
    for path in videos.glob("*.mp4"):
        with open_video(path) as reader, (arrays / f"{path.stem}.npy").open("wb") as file:
            np.save(file, reader.frames_at(range(len(reader))).numpy())
    for file in (*videos.glob("*.csv"), videos / "classes.txt"):
        (arrays / file.name).write_text(file.read_text().replace(".mp4", ".npy"))
    with (arrays / "test.csv").open("a") as file:
        file.write("none.npy,0\n")
    (arrays / "none.npy").write_bytes(b"no array")

    # Resumed within an epoch, read by two processes: the bits of the videos.
    fit_with_a_stop(tmp_path / "found", arrays, data={**OWN, "num_workers": 2})
    assert ends_apart(tmp_path / "found", tmp_path / "expected") == []
    run = tmp_path / "found" / "run"
    checkpoint = str(run / "checkpoints" / "last.ckpt")
    main(["test", "--config", str(run / "config.yaml"), "--ckpt_path", checkpoint])
    assert json.loads((run / "test_metrics.json").read_text())["protocol"]["videos"] == 4
    table = pd.read_csv(run / "predictions.csv")
    assert "is no file of numpy" in table.loc[table["video"] == "none.npy", "unreadable"].item()

    predict = ["predict", str(arrays / "00.npy"), "--checkpoint", checkpoint]
    assert "--trust own_reader lets it be imported" in refused([*predict, "--trust", "tests"])
    for timeline in ([], ["--timeline"]):
        out = tmp_path / f"out{len(timeline)}"
        main([*predict, "--out", str(out), "--trust", "tests", "--trust", "own_reader", *timeline])
        assert list(pd.read_csv(out / "predictions.csv")["video"]) == [str(arrays / "00.npy")]
