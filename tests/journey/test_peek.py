"""`gcvideo peek`: what it draws is what `gcvideo fit` trains on."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from gcvideo.cli import main
from gcvideo.cli import peek as command
from gcvideo.clip import ViewBatch
from gcvideo.data.grid import LINE_HEIGHT
from tests.doors.own import dataset, fit
from tests.journey.test_toolbox import AUGMENTED
from tests.training.faults import digest
from tests.training.runs import batches

MEAN, STD = 0.45 * 255, 0.225 * 255


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs of three steps, with every kind of augmentation, which wrote down its clips."""
    folder = tmp_path_factory.mktemp("trained")
    fit(folder, dataset(folder / "videos"), data=AUGMENTED)
    return folder


@pytest.mark.parametrize(("epoch", "batch"), [(0, 0), (1, 1)])
def test_the_clips_are_those_that_are_trained_on_to_the_bit(trained, tmp_path, monkeypatch, epoch, batch):
    drawn: list[ViewBatch] = []
    clip_grid = command.clip_grid
    monkeypatch.setattr(
        command, "clip_grid", lambda seen, *of, **how: drawn.append(seen) or clip_grid(seen, *of, **how)
    )
    place = [
        "--trainer.max_epochs",
        "9",
        "--epoch",
        str(epoch),
        "--batch",
        str(batch),
        "--num_clips",
        "4",
        "--out",
        str(tmp_path),
    ]
    main(
        ["peek", "--config", str(trained / "run" / "config.yaml"), *place]
    )  # a batch of 2 videos, 2 clips each
    (seen,) = drawn
    trained_on = batches(trained)[0, 3 * epoch + batch + 1]
    assert (digest(seen.views), seen.video_id) == (trained_on["clips"], trained_on["videos"])

    # The picture and the film hold them.
    picture = np.asarray(Image.open(tmp_path / "clips.png")).astype(float)
    first = seen.views[0, 0, :, 0].movedim(0, -1) * STD + MEAN  # 32 x 32, three times as large
    shown = picture[LINE_HEIGHT : LINE_HEIGHT + 96 : 3, 0:96:3]
    assert np.abs(shown - first.clamp(0, 255).numpy()).max() <= 0.51
    with av.open(str(tmp_path / "clips.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == 4


def test_overrides_are_those_of_fit_and_more_clips_than_a_batch_are_of_the_next(trained, tmp_path, caplog):
    plain = ["--data.augment", "[]", "--data.blend", "[]", "--data.repeats", "1"]
    with caplog.at_level("INFO", logger="gcvideo"):
        main(
            [
                "peek",
                "--config",
                str(trained / "run.yaml"),
                *plain,
                "--num_clips",
                "5",
                "--out",
                str(tmp_path),
            ]
        )
    videos = [video for number in range(1, 4) for video in batches(trained)[0, number]["videos"][:2]]
    named = [line.rpartition("(")[2].rstrip(")") for line in caplog.messages if line.startswith("clip ")]
    assert named == videos[:5]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--batch", "3"], "gcvideo peek: batch 3 was asked for; epoch 0 has 0..2"),
        (["--num_clips", "0"], "num_clips is refused: 0"),
        (
            ["--data.random_erasing.probability", "3"],
            "peek: data.random_erasing: probability is 3.0; expected 0",
        ),
        (
            ["--data.augment", "[{class_path: gcvideo.data.TimeReversal, init_args: {probability: 2}}]"],
            "gcvideo peek: TimeReversal: probability is 2.0; expected 0..1",
        ),
        (["--data.train", "none.csv"], "none.csv: no such file"),
        (["--data.augment", "[torchvision.transforms.v2.FiveCrop]"], "size must be given"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_line(trained, tmp_path, capsys, arguments, said):
    with pytest.raises(SystemExit):
        main(["peek", "--config", str(trained / "run.yaml"), *arguments, "--out", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) <= 2
    assert not (tmp_path / "out").exists()
