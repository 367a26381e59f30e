"""`gcvideo tune` tries rates and batch sizes on the run that would start, and leaves nothing of it."""

import json

import numpy as np
import pandas as pd
import pytest

from gcvideo.cli import main
from gcvideo.training.range_test import RangeTest
from tests.data.annotated import write_dataset
from tests.training.runs import write_config


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "videos", train=7, val=2, test=1)


def test_the_rate_rises_to_where_the_loss_diverges_and_that_of_the_steepest_fall_is_printed(
    tmp_path, root, capsys
):
    """The steps are those that a callback of one's own sees; the reference is pandas' exponential mean."""
    picture = tmp_path / "range.png"
    model = {"learning_rate": 0.1}
    early = {"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss"}}
    trainer = {"accumulate_grad_batches": 2, "callbacks": [early], "limit_train_batches": 2}
    config = write_config(tmp_path, root, model=model, trainer=trainer, data={"blend": []})
    settings = [
        "--tune.num_steps",
        "40",
        "--tune.highest",
        "1000",
        "--tune.lowest",
        "1e-4",
        "--tune.out",
        str(picture),
    ]
    main(["tune", "learning_rate", "--config", str(config), *settings])
    printed, told = capsys.readouterr()
    # What the steps were, two batches each
    lines = [json.loads(line) for line in (tmp_path / "record" / "0.jsonl").read_text().splitlines()]
    seen = pd.DataFrame([line for line in lines if "loss" in line])
    seen["loss"] = [2 * float.fromhex(loss) for loss in seen["loss"]]  # Lightning gives halves of a step
    losses = seen["loss"].to_numpy().reshape(-1, 2).mean(1)
    rates = 1e-4 * 1e7 ** (np.arange(len(losses)) / 39)
    assert [float.fromhex(rate) for rate in seen["rate"][::2]] == pytest.approx(rates)
    # It ended as soon as the smoothed loss was four times its lowest
    smoothed = pd.Series(losses).ewm(alpha=0.1).mean().to_numpy()
    diverged = smoothed > 4 * np.minimum.accumulate(smoothed)
    assert diverged.tolist() == [False] * (len(losses) - 1) + [True]
    assert len(losses) < 40
    # And the steepest fall is told for the reference batch of 64, of which a step has 4 clips
    end = 10 + int((smoothed[10:] > 1.1 * np.minimum.accumulate(smoothed[10:])).argmax())
    slopes = np.gradient(smoothed[10:end], np.log(rates[10:end]))
    found = rates[10:end][slopes.argmin()]
    assert printed == f"--model.learning_rate {found * 64 / 4:.3g}\n"
    assert f"it diverges at {rates[-1]:.3g}" in told
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "run").exists()


def test_batch_sizes_are_doubled_up_to_the_list_and_the_fastest_is_printed(tmp_path, root, capsys):
    main(["tune", "batch_size", "--config", str(write_config(tmp_path, root)), "--tune.most", "32"])
    told = capsys.readouterr()
    speeds = {
        int(line.split()[1].rstrip(":")): float(line.split()[2])
        for line in told.err.splitlines()
        if line.startswith("batch_size")
    }
    assert set(speeds) == {2, 4}
    assert told.out == f"--data.batch_size {max(speeds, key=lambda size: speeds[size])}\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["momentum"], "momentum is not tuned here; expected learning_rate or batch_size"),
        (
            ["batch_size"],
            "without a GPU nothing says when memory ends; give the largest size: --tune.most 32",
        ),
        (["batch_size", "--tune.most", "1"], "data.batch_size 2 does not fit already, or is more than 1"),
        (["learning_rate", "--tune.lowest", "2", "--tune.highest", "1"], "rates from 2.0 to 1.0"),
        (
            ["learning_rate", "--ckpt_path", "a.ckpt"],
            "tune tries the start of a run; weights to start from are",
        ),
        (["learning_rate", "--tune.num_steps", "3"], "num_steps is 3; expected at least 20"),
    ],
)
def test_what_cannot_be_tuned_is_refused(tmp_path, root, capsys, arguments, words):
    config = write_config(tmp_path, root)
    with pytest.raises(SystemExit):
        main(["tune", arguments[0], "--config", str(config), *arguments[1:]])
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_rate_is_found_where_the_loss_falls_and_not_where_it_comes_back_after_a_rise():
    steps = np.arange(60)
    fall, rise, back = 2 - 0.8 * (steps > 24), 6.0 * (steps > 40), -4.0 * (steps > 50)
    for losses, found in ((fall + rise + back, True), (2 + rise + back, False), (2 + rise, False)):
        test = RangeTest(1e-5, 10.0, 60)
        test.losses, test.rates = losses.tolist(), (1e-5 * 1e6 ** (steps / 59)).tolist()
        suggestion = test.suggestion()
        assert (suggestion is not None) == found
        if suggestion is not None:
            assert test.rates[23] < suggestion < test.rates[34]
