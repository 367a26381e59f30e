"""Times that `gcvideo predict` says and writes are the file's, where frames do not come evenly."""

import json
from pathlib import Path

import av
import pandas as pd
import pytest

from gcvideo.cli import main
from gcvideo.data.decoding import open_video
from tests.journey.colours import tone_begins, write_checkpoint, write_film

HOP_SECONDS = 0.5
PHONE = [("one", 900, 30), ("three", 720, 24)]
"""30 seconds at 30 frames a second and 30 at 24; of one rate it would be 27."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_checkpoint(tmp_path_factory.mktemp("run")))


def stamps(path: Path) -> list[float]:
    """When frames are shown, by a decode in order, in seconds."""
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


def test_a_change_is_said_and_annotated_when_it_happens(checkpoint: str, tmp_path: Path) -> None:
    film, out = tmp_path / "phone.mp4", tmp_path / "out"
    shown_at = write_film(film, PHONE, sound="aac", tone_from=30.0)
    arguments = [
        "--trust",
        "tests",
        "--timeline",
        "--annotate",
        "--hop_seconds",
        str(HOP_SECONDS),
        "--checkpoint",
        checkpoint,
    ]
    main(["predict", str(film), *arguments, "--out", str(out)])

    windows = pd.read_csv(out / "timeline.csv")
    assert set(windows["start_seconds"]) <= {round(time, 3) for time in shown_at}
    assert windows["start_seconds"].diff()[1:-1].tolist() == pytest.approx(
        [HOP_SECONDS] * (len(windows) - 2), abs=0.05
    )
    assert windows["end_seconds"].iloc[-1] == 60
    before, after = json.loads((out / "predictions.json").read_text())["videos"][0]["segments"]
    assert (before["class"], after["class"]) == ("one", "three")
    assert (before["start_seconds"], after["end_seconds"]) == (0, 60)
    assert before["end_seconds"] == after["start_seconds"] == pytest.approx(30, abs=HOP_SECONDS)

    copy = out / "annotated" / "phone.mp4"
    assert stamps(copy) == pytest.approx(shown_at, abs=1 / 90_000)
    assert tone_begins(copy) == pytest.approx(tone_begins(film), abs=0.001)
    with open_video(copy) as reader, av.open(str(copy)) as container:
        assert float(reader.boundaries()[-1]) == pytest.approx(60)
        assert container.duration == pytest.approx(60_000_000, abs=50_000)
        red, blue = reader.frames_at([899, 900]).float().mean(dim=(1, 2))
    assert red.argmax() == 0
    assert blue.argmax() == 2
