"""A multigrid run: trained through every change of shape, killed, resumed, tested and reported."""

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from gcvideo.cli import main
from tests.data.annotated import write_dataset
from tests.training.runs import batches, differences, fault, run, said, write_config

SCHEDULE = {
    "epochs": 4,
    "milestones": [2],
    "epoch_factor": 1.5,
    "long_cycle": [[0.5, 0.5], [1.0, 1.0]],
    "short_cycle": [0.5],
}
"""Epochs 0 to 2 have 16 clips of 4 frames at 16 pixels; 3 to 5, of 8 frames, 8 at 16 pixels and 2 at 32."""
COARSE, FINE, EPOCHS = 2, 8, 6
"""Batches of an epoch of 40 videos, of each of the first three and of the others."""
PEAK = 0.5 * 2 / 64
STEPS = {"class_path": "gcvideo.training.StepDecay", "init_args": {"milestones": [5]}}
STEPS["init_args"] |= {"warmup_epochs": 1.5, "warmup_start": 0.1}


def multigrid(folder: Path, root: Path, *faults: dict[str, Any], data: Any = None, clips: int = 2) -> Path:
    own = {"clip": {"num_frames": 8, "stride": 1}, "multigrid": SCHEDULE, "blend": ["mixup"]}
    over = {"class_path": "gcvideo.training.BatchNormOver", "init_args": {"clips": clips}}
    precise = {"class_path": "gcvideo.training.PreciseBatchNorm", "init_args": {"num_batches": 2}}
    settings = {"max_epochs": EPOCHS, "reload_dataloaders_every_n_epochs": 1, "check_val_every_n_epoch": 2}
    return write_config(
        folder,
        root,
        *faults,
        data={**own, **(data or {})},
        model={"lr_schedule": STEPS},
        trainer={**settings, "callbacks": [over, precise]},
        safeguard={"every_steps": 1},
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "videos", train=40, val=3, test=2)


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    assert run(multigrid(folder, root)) == [0], said(folder)
    return folder


def test_every_step_has_the_clips_and_the_rate_of_the_schedule(whole):
    facts = batches(whole)
    steps = [facts[0, number] for number in range(1, 3 * COARSE + 3 * FINE + 1)]
    coarse = [16] * COARSE
    fine = [8, 2] * (FINE // 2)
    assert [len(step["videos"]) for step in steps] == coarse * 3 + fine * 3
    epochs = [epoch for epoch, number in enumerate([COARSE] * 3 + [FINE] * 3) for _ in range(number)]
    assert [step["epoch"] for step in steps] == epochs
    # The rate that is set after a step is that of the next.
    warmup = [8 * PEAK * (0.1 + 0.9 * step / (1.5 * COARSE)) for step in range(3)]
    rates = warmup + [8 * PEAK] * (3 * COARSE - 3) + [PEAK] * (2 * FINE) + [0.1 * PEAK] * (FINE + 1)
    assert [float.fromhex(step["rate"]) for step in steps] == pytest.approx(rates[1:])
    for epoch in range(EPOCHS):
        videos = [video for step in steps if step["epoch"] == epoch for video in step["videos"]]
        assert len(videos) == len(set(videos)) == {True: 16 * COARSE, False: 5 * FINE}[epoch < 3]
    assert "epochs 0 to 2: 4 frames at stride 1 to 2, crops of 16, 16 pixels in batches of 16, 16" in said(
        whole
    )
    assert "epochs 3 to 5: 8 frames at stride 1 to 1, crops of 16, 32 pixels in batches of 8, 2 per" in said(
        whole
    )
    assert said(whole).count("multigrid, epochs") == 2


def test_a_run_killed_in_every_shape_and_between_two_ends_as_one_never_stopped(
    tmp_path, root, whole, refused
):
    """In a coarse epoch, at the end of the coarse ones, and within a fine one."""
    steps = (1, 3 * COARSE, 3 * COARSE + 3)
    fatal = [
        fault("Signal", number=int(signal.SIGKILL), step=step, once=str(tmp_path / f"killed.{step}"))
        for step in steps
    ]
    config = multigrid(tmp_path, root, *fatal)
    assert run(config) == [-signal.SIGKILL], said(tmp_path)
    for _ in steps[1:]:
        assert run(config, "--resume", "auto") == [-signal.SIGKILL], said(tmp_path)
    other = ("--data.multigrid.short_cycle", "[0.7]", "--trainer.callbacks", "[]")
    assert "8 batches an epoch from epoch 3 on, and this run 13" in refused(
        ["fit", "--config", str(config), "--resume", "auto", *other]
    )
    assert run(config, "--resume", "auto") == [0], said(tmp_path)
    assert differences(tmp_path, whole) == []


def test_two_processes_take_the_videos_of_one(tmp_path, root, whole):
    config = multigrid(tmp_path, root, data={"batch_size": 1}, clips=1)
    assert run(config, processes=2) == [0, 0], said(tmp_path)
    one, two = batches(whole), batches(tmp_path)
    for number in range(1, 3 * COARSE + 3 * FINE + 1):
        shares = [two[rank, number]["videos"] for rank in range(2)]
        assert [video for pair in zip(*shares, strict=True) for video in pair] == one[0, number]["videos"]
        assert two[1, number]["rate"] == one[0, number]["rate"]


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 3 * COARSE, 3 * COARSE + 3])
def test_two_killed_processes_end_as_two_never_stopped(tmp_path, root, step):
    settings = {"data": {"batch_size": 1}, "clips": 1}
    assert run(multigrid(tmp_path / "whole", root, **settings), processes=2) == [0, 0]
    fatal = fault("Signal", number=int(signal.SIGKILL), step=step, once=None)
    killed = multigrid(tmp_path / "killed", root, fatal, **settings)
    assert run(killed, processes=2) == [-signal.SIGKILL] * 2
    again = multigrid(tmp_path / "killed", root, **settings)
    assert run(again, "--resume", "auto", processes=2) == [0, 0], said(tmp_path / "killed")
    assert differences(tmp_path / "killed", tmp_path / "whole") == []


def test_its_checkpoint_is_tested_and_reported_as_any_other(whole):
    run_dir = whole / "run"
    main(["test", "--trust", "tests", "--ckpt_path", str(run_dir / "checkpoints" / "last.ckpt")])
    assert json.loads((run_dir / "test_metrics.json").read_text())["protocol"]["clip"]["num_frames"] == 8
    main(["report", "--trust", "tests", str(run_dir)])
    assert (run_dir / "report.html").is_file()


def test_preflight_measures_the_coarsest_phase_and_tune_the_full_shape(tmp_path, root, capsys):
    config = ["--config", str(multigrid(tmp_path, root))]
    with pytest.raises(SystemExit) as ended:
        main(["preflight", *config, "--preflight.measure_seconds", "0.5"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0, shown
    assert shown.count("in the coarsest phase of data.multigrid") >= 1
    main(["tune", "batch_size", *config, "--tune.most", "2"])
    assert capsys.readouterr().out.endswith("--data.batch_size 2\n")


REFUSED = [
    (["--trainer.max_epochs", "4"], "max_epochs is 4, and the schedule of data.multigrid takes 6 epochs"),
    (["--data.batch_size", "6"], "lists 40 videos, fewer than one batch of 48"),
    (["--model.lr_schedule.milestones", "[3]"], r"has milestones \[3.0\], and the steps of data.multigrid"),
    (["--trainer.callbacks+=gcvideo.training.CompileNetwork"], "CompileNetwork tries the network at"),
]
REFUSED_LIKEWISE = [
    (["--trainer.reload_dataloaders_every_n_epochs", "0"], "reload_dataloaders_every_n_epochs is 0; give 1"),
    (["--trainer.accumulate_grad_batches", "2"], "accumulate_grad_batches is 2, which would average over"),
    (["--trainer.overfit_batches", "2"], "overfit_batches repeats batches"),
    (
        ["--data.train_transform", "tests.training.faults.SlowJitter", "--data.train_transform.seconds", "0"],
        "train_transform is SlowJitter, which cuts one size; .* give it at_crop_size",
    ),
    (["--model.lr_schedule", "gcvideo.training.HalfCosine"], r"StepDecay with milestones \[5\]"),
    (
        [
            *("--data.train_sampler", "RandomStrideClip"),
            *("--data.train_sampler.min_stride", "1", "--data.train_sampler.max_stride", "2"),
        ],
        "multigrid draws strides itself; leave one out",
    ),
    (["--data.multigrid.long_cycle", "[[0.5, 1.0]]"], r"ends with \(0.5, 1.0\); expected the full shape"),
]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [*REFUSED, *(pytest.param(*case, marks=pytest.mark.slow) for case in REFUSED_LIKEWISE)],
)
def test_what_does_not_go_together_is_refused_at_once(tmp_path, root, refused, arguments, message):
    said_of_it = refused(["fit", "--config", str(multigrid(tmp_path, root)), *arguments])
    assert re.search(message, said_of_it), said_of_it
    assert not (tmp_path / "record").exists()
