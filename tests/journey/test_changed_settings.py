"""What a run was asked for and what happened are the same, whatever changes between two commands."""

import json
import math
import shutil
from functools import reduce
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from gcvideo.cli import main
from tests.data.annotated import write_dataset
from tests.training.runs import same_values, write_config

PEAK = 0.5 * 2 / 64  # learning rate * clips of a step / reference_batch_size


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs of three steps, with TensorBoard's file; the folder must stay as it is."""
    folder = tmp_path_factory.mktemp("finished")
    root = write_dataset(folder / "videos", train=6, val=2, test=3)
    main(["fit", "--config", str(write_config(folder, root, model={"lr_schedule": "HalfCosine"}))])
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


def resume(folder: Path, *arguments: str) -> None:
    """Go on with a run as its own config.yaml says."""
    main(["fit", "--config", str(folder / "run" / "config.yaml"), "--resume", "auto", *arguments])


def recorded(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "run" / "config.yaml").read_text())


def last(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "run" / "checkpoints" / "last.ckpt", weights_only=True)


def rates(folder: Path) -> dict[int, float]:
    """The learning rate of every step, as metrics.csv has it."""
    table = pd.read_csv(folder / "run" / "metrics" / "metrics.csv")
    column = next(name for name in table.columns if name.startswith("lr-"))
    logged = table[["step", column]].dropna()
    return dict(zip(logged["step"], logged[column], strict=True))


def setting(config: dict[str, Any], key: str) -> Any:
    """The value of a dotted key."""
    return reduce(lambda section, name: section[name], key.split("."), config)


def half_cosine(step: int, *, epochs: int) -> float:
    return (1 + math.cos(math.pi * step / 3 / epochs)) / 2


def test_more_epochs_follow_the_new_curve_from_the_first_step(folder):
    resume(folder, "--trainer.max_epochs", "4")
    expected = {step: PEAK * half_cosine(step, epochs=2) for step in range(6)}
    expected |= {step: PEAK * half_cosine(step, epochs=4) for step in range(6, 12)}
    assert rates(folder) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("key", "value", "of_optimizer", "factor"),
    [
        ("learning_rate", 0.25, {}, 0.5),
        ("reference_batch_size", 32, {}, 2.0),
        ("optimizer.init_args.momentum", 0.5, {"momentum": 0.5}, 1.0),
        ("optimizer.init_args.weight_decay", 0.01, {"weight_decay": 0.01}, 1.0),
    ],
)
def test_a_changed_setting_is_used_said_and_recorded(folder, capsys, key, value, of_optimizer, factor):
    before = setting(recorded(folder)["model"], key)
    momentum = last(folder)["optimizer_states"][0]["state"]
    resume(folder, "--trainer.max_epochs", "3", f"--model.{key}", str(value))
    said = capsys.readouterr().err
    assert f"model.{key} {value} (was {before})" in said
    assert "trainer.max_epochs 3 (was 2)" in said
    assert setting(recorded(folder)["model"], key) == value
    checkpoint = last(folder)
    assert checkpoint["config"] == recorded(folder)
    assert setting(checkpoint["hyper_parameters"], key) == value
    (groups,) = (state["param_groups"] for state in checkpoint["optimizer_states"])
    assert {name: groups[0][name] for name in of_optimizer} == of_optimizer
    assert len(checkpoint["optimizer_states"][0]["state"]) == len(momentum)
    assert rates(folder)[6] == pytest.approx(factor * PEAK * half_cosine(6, epochs=3))


def test_a_changed_layer_decay_is_used_and_no_momentum_is_lost(folder, capsys):
    resume(folder, "--trainer.max_epochs", "3", "--model.layer_decay", "0.5")
    said = capsys.readouterr().err
    assert "model.layer_decay 0.5 (was 1.0)" in said
    assert "begin without momentum" not in said
    groups = last(folder)["optimizer_states"][0]["param_groups"]
    assert {group["initial_lr"] for group in groups} == {PEAK / 2**depth for depth in range(5)}


def as_older_runs_left_it(folder: Path) -> None:
    """Give the run the names that settings had, and a checkpoint without what came later."""
    file = folder / "run" / "checkpoints" / "last.ckpt"
    checkpoint, config = last(folder), recorded(folder)
    for model in (checkpoint["config"]["model"], checkpoint["hyper_parameters"], config["model"]):
        model |= model.pop("optimizer")["init_args"]
        model["schedule"] = model.pop("lr_schedule")
        model["label_smoothing"] = model.pop("loss")["init_args"]["label_smoothing"]
        del model["lr_interval"]
    del checkpoint["optimizer_states"][0]["kind"]
    checkpoint["lr_schedulers"][0]["_step_count"] = 7
    torch.save(checkpoint, file)
    (folder / "run" / "config.yaml").write_text(yaml.safe_dump(config))


def test_a_run_with_the_names_of_before_goes_on_as_one_with_those_of_now(folder, tmp_path_factory, capsys):
    older = tmp_path_factory.mktemp("older")
    shutil.copytree(folder, older, dirs_exist_ok=True)
    as_older_runs_left_it(older)
    for run in (older, folder):
        config = recorded(run)
        config["run_dir"] = str(run / "run")
        (run / "run" / "config.yaml").write_text(yaml.safe_dump(config))
        resume(run, "--trainer.max_epochs", "3", "--model.optimizer.momentum", "0.8")
        said = capsys.readouterr().err
        assert "model.optimizer.init_args.momentum 0.8 (was 0.9); trainer.max_epochs 3 (was 2)" in said
    ends = last(older), last(folder)
    assert all(same_values(*(end[part] for end in ends)) for part in ("state_dict", "optimizer_states"))
    assert recorded(older)["model"] == recorded(folder)["model"]


def test_settings_that_an_older_run_did_not_know_are_no_change_where_they_have_their_default(folder, capsys):
    file = folder / "run" / "checkpoints" / "last.ckpt"
    checkpoint, config = last(folder), recorded(folder)
    for of in (checkpoint["config"], config):
        for key in ("augment", "random_erasing", "repeats", "repeats_share"):
            del of["data"][key]
    torch.save(checkpoint, file)
    (folder / "run" / "config.yaml").write_text(yaml.safe_dump(config))
    resume(folder, "--trainer.max_epochs", "3", "--data.repeats", "2")
    said = capsys.readouterr().err
    assert "used from here on: data.repeats 2 (was unset); trainer.max_epochs 3 (was 2)\n" in said


def test_a_finished_run_says_that_nothing_is_left(folder, capsys):
    before = {file: file.read_bytes() for file in (folder / "run").rglob("*.[cy]*") if file.is_file()}
    resume(folder)
    assert "nothing is left to do: 2 of 2 epochs are over" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in before} == before


def test_another_seed_is_refused_and_config_yaml_stays(folder, refused):
    before = recorded(folder)
    said = refused(
        [
            "fit",
            *("--config", str(folder / "run" / "config.yaml"), "--resume", "auto"),
            *("--seed_everything", "8", "--trainer.max_epochs", "3"),
        ]
    )
    assert "seed_everything is 8" in said
    assert "give --seed_everything 3" in said
    assert recorded(folder) == before


def test_another_network_is_refused_by_name_and_shape(folder, refused):
    said = refused(
        [
            "fit",
            *(
                "--config",
                str(folder / "run" / "config.yaml"),
                "--resume",
                "auto",
                "--trainer.max_epochs",
                "3",
            ),
            *("--model.network.init_args.width", "5"),
        ]
    )
    assert "the checkpoint is of another network" in said
    assert "network." in said


def test_within_an_epoch_another_order_is_refused(folder, refused):
    """The checkpoint of the second step of an epoch, with the lists of before, goes on; with others not."""
    run = folder / "run"
    shutil.rmtree(run)
    config = folder / "run.yaml"
    stop = ("--trainer.max_steps", "2", "--trainer.val_check_interval", "1")
    main(["fit", "--config", str(config), "--run_dir", str(run), *stop])
    go_on = ("fit", "--config", str(run / "config.yaml"), "--resume", "auto", "--trainer.max_steps", "-1")
    assert "data.seed or data.train_order is another than then" in refused([*go_on, "--data.seed", "7"])
    train = folder / "videos" / "train.csv"
    header, first, *rest = train.read_text().splitlines()
    train.write_text("\n".join([header, *rest, first]) + "\n")
    refused([*go_on, "--data.root", str(folder / "videos")])
    train.write_text("\n".join([header, first, *rest]) + "\n")
    main(list(go_on))
    assert last(folder)["global_step"] == 6


def test_between_epochs_another_order_is_said(folder, capsys):
    resume(folder, "--data.seed", "7", "--trainer.max_epochs", "3")
    said = capsys.readouterr().err
    assert "data.seed 7 (was 0)" in said
    assert "data.seed or data.train_order has changed; epochs from here on follow the new ones" in said


def test_a_test_leaves_the_runs_config_as_it_is(folder):
    run = folder / "run"
    before = (run / "config.yaml").read_text()
    command = [
        "test",
        "--config",
        str(run / "config.yaml"),
        "--ckpt_path",
        str(run / "checkpoints/last.ckpt"),
    ]
    main([*command, "--trainer.limit_test_batches", "1", "--data.test_views.num_clips", "1"])
    assert (run / "config.yaml").read_text() == before
    tested = yaml.safe_load((run / "test_config.yaml").read_text())
    assert tested["data"]["test_views"]["num_clips"] == 1
    assert json.loads((run / "test_metrics.json").read_text())["protocol"]["videos"] == 1
    main(command)
    protocol = json.loads((run / "test_metrics.json").read_text())["protocol"]
    assert protocol["videos"] == 3
    assert protocol["views"]["num_clips"] == 2
    main(["validate", *command[1:]])
    assert (run / "val_config.yaml").is_file()
    resume(folder, "--trainer.max_epochs", "3")
    assert last(folder)["global_step"] == 9


def test_a_checkpoint_alone_can_be_tested(folder):
    run = folder / "run"
    main(["test", "--trust", "tests", "--ckpt_path", str(run / "checkpoints" / "best.ckpt")])
    assert json.loads((run / "test_metrics.json").read_text())["protocol"]["videos"] == 3


def test_a_logger_of_ones_own_takes_nothing_away(finished, tmp_path):
    settings = {"save_dir": str(tmp_path / "own")}
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": settings}
    config = write_config(tmp_path, finished / "videos", trainer={"logger": logger, "max_epochs": 1})
    main(["fit", "--config", str(config)])
    assert (tmp_path / "run" / "config.yaml").is_file()
    assert len(rates(tmp_path)) == 3
    (own,) = (tmp_path / "own").rglob("metrics.csv")
    assert "train/loss" in pd.read_csv(own)
    main(["report", "--trust", "tests", str(tmp_path / "run")])
    assert (tmp_path / "run" / "report.html").is_file()


def test_preflight_takes_a_runs_config(folder, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["preflight", "--config", str(folder / "run" / "config.yaml")])
    assert ended.value.code == 0
    assert "nothing is wrong" in capsys.readouterr().out


def test_a_moved_run_stays_in_its_folder(folder):
    moved = folder.parent / "moved"
    shutil.move(folder / "run", moved)
    main(
        ["test", "--config", str(moved / "config.yaml"), "--ckpt_path", str(moved / "checkpoints/last.ckpt")]
    )
    assert (moved / "test_metrics.json").is_file()
    assert not (folder / "run").exists()
