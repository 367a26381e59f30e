"""`gcvideo fit --resume auto`, as a job script types it."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from gcvideo.archive import Archive, examine
from gcvideo.cli import main
from tests.data.annotated import write_dataset
from tests.training.runs import write_config


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one epoch, and its videos; the folder must stay as it is."""
    folder = tmp_path_factory.mktemp("finished")
    root = write_dataset(folder / "videos", train=4, val=2, test=2)
    main(["fit", "--config", str(write_config(folder, root, trainer={"max_epochs": 1, "logger": False}))])
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


def resume(folder: Path, *arguments: str) -> None:
    run_dir = ("--run_dir", str(folder / "run"))
    main(["fit", "--config", str(folder / "run.yaml"), *run_dir, "--resume", "auto", *arguments])


def best_score(run: Path) -> Tensor:
    states = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]
    return next(state["best_model_score"] for name, state in states.items() if "ModelCheckpoint" in name)


def test_a_run_whose_folder_was_moved_still_knows_its_best_checkpoint(folder):
    last = folder / "run" / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    (state,) = [state for name, state in content["callbacks"].items() if "ModelCheckpoint" in name]
    unbeatable = torch.tensor(2.0)
    state["best_model_score"] = state["kth_value"] = unbeatable
    state["best_k_models"] = dict.fromkeys(state["best_k_models"], unbeatable)
    torch.save(content, last)
    best = (folder / "run" / "checkpoints" / "best.ckpt").read_bytes()
    resume(folder, "--trainer.max_epochs", "2")
    assert (folder / "run" / "checkpoints" / "best.ckpt").read_bytes() == best
    assert best_score(folder / "run") == unbeatable


def test_a_damaged_checkpoint_is_passed_over_and_named(folder, capsys):
    last = folder / "run" / "checkpoints" / "last.ckpt"
    os.truncate(last, 5000)
    resume(folder, "--trainer.max_epochs", "2")
    said = capsys.readouterr().err
    assert f"passed over {last}: is no checkpoint, or is cut short (5000 bytes)" in said
    assert f"resuming from {last.with_name('best.ckpt')}" in said
    assert "resumed after step 2: epoch 1, batch 0" in said


def test_a_resumed_run_reads_a_checkpoint_once_to_see_that_it_is_whole(folder, monkeypatch):
    read: list[str] = []

    def examined(file: Path) -> Archive:
        read.append(file.name)
        return examine(file)

    monkeypatch.setattr("gcvideo.keeping.checkpoint_file.examine", examined)
    for file in (folder / "run" / "checkpoints").iterdir():
        os.utime(file, (1e9, 1e9))
    resume(folder)
    assert sorted(read) == ["best.ckpt", "last.ckpt"]


def test_a_run_of_which_every_checkpoint_is_damaged_is_not_begun_again(folder, refused):
    files = sorted((folder / "run" / "checkpoints").glob("*.ckpt"))
    for file in files:
        os.truncate(file, 5000)
    said = refused(["fit", "--config", str(folder / "run" / "config.yaml"), "--resume", "auto"])
    assert "has no whole checkpoint: " in said
    assert all(f"{file}: is no checkpoint, or is cut short (5000 bytes)" in said for file in files)
    assert [file.stat().st_size for file in files] == [5000, 5000]


@pytest.mark.parametrize("left", [["run"], ["run", "run/config.yaml"], []])
def test_a_run_without_a_checkpoint_starts(folder, capsys, left):
    for path in [folder / "run" / "checkpoints", folder / "run" / "config.yaml", folder / "run"]:
        if str(path.relative_to(folder)) not in left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    resume(folder)
    assert "has no checkpoint yet; starting" in capsys.readouterr().err
    assert (folder / "run" / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize(
    ("part", "instead", "reason"),
    [
        ("learning_rate:", "learning_rates:", "model.learning_rates is no setting; did you mean"),
        (
            "networks.TwoLayers",
            "gone.TwoLayers",
            "model.network names tests.training.gone.TwoLayers, which does",
        ),
        ("schedule:", "schedule: [", "is no YAML: "),
    ],
)
def test_a_config_that_is_none_any_more_is_refused_in_a_line(folder, capsys, part, instead, reason):
    """In the run's folder, and in a checkpoint."""
    file, last = folder / "run" / "config.yaml", folder / "run" / "checkpoints" / "last.ckpt"
    changed = file.read_text().replace(part, instead)
    file.write_text(changed)
    commands = [["fit", "--config", str(file), "--resume", "auto"]]
    if "YAML" not in reason:
        content = torch.load(last, weights_only=True)
        torch.save(content | {"config": yaml.safe_load(changed)}, last)
        commands += [[name, "--trust", "tests", "--ckpt_path", str(last)] for name in ("fit", "test")]
    for command in commands:
        with pytest.raises(SystemExit) as stopped:
            main(command)
        assert stopped.value.code == 2
        said = capsys.readouterr().err
        assert reason in said
        assert len(said.splitlines()) == 1


def test_a_checkpoint_of_another_program_is_refused(folder, refused):
    last = folder / "run" / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    torch.save(content | {"hyper_parameters": {"lr": 1.0}, "config": "one of theirs"}, last)
    config = "--config", str(folder / "run" / "config.yaml")
    for command in (["fit", *config, "--resume", "auto"], ["test", *config, "--ckpt_path", str(last)]):
        assert f"{last}: holds no class names; expected a checkpoint that" in refused(command)


def test_how_a_run_was_started_is_not_part_of_its_config(folder):
    resume(folder)
    config = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    assert not {"resume", "ckpt_path", "weights_only", "verbose", "run_dir"} & set(config)
    last = folder / "run" / "checkpoints" / "last.ckpt"
    main(["test", "--config", str(folder / "run" / "config.yaml"), "--ckpt_path", str(last)])


def test_what_cannot_be_resumed_is_refused(finished, refused):
    command = ["--config", str(finished / "run.yaml")]
    for arguments, said in [
        (["test", *command, "--resume", "auto"], "gcvideo test: resume is for fit; name a checkpoint as"),
        (
            ["fit", *command, "--resume", "auto", "--run_dir", "null"],
            "gcvideo fit: resume auto takes the newest",
        ),
        (["fit", *command], "run holds a run already; choose another run_dir, or go on with --resume auto"),
    ]:
        assert said in refused(arguments)


def test_a_run_that_was_refused_before_its_first_step_may_be_started_again(tmp_path, refused):
    root = write_dataset(tmp_path / "videos", train=6, val=2, test=3)
    command = ["fit", "--config", str(write_config(tmp_path, root))]
    plateau = "--model.lr_schedule", "torch.optim.lr_scheduler.ReduceLROnPlateau"
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)]
    assert "which follows a metric" in refused([*command, *plateau])
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)] == handlers
    assert (tmp_path / "run" / "config.yaml").is_file()
    main(command)
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert "ReduceLROnPlateau" not in str(config["model"])
    assert "holds a run already" in refused(command)


def test_a_damaged_checkpoint_ends_every_command_in_one_line(folder, refused):
    last = folder / "run" / "checkpoints" / "last.ckpt"
    changed = bytearray(last.read_bytes())
    changed[len(changed) // 2] ^= 4
    last.write_bytes(changed)
    command = ["--config", str(folder / "run.yaml"), "--ckpt_path", str(last)]
    for arguments in (
        ["fit", *command],
        ["test", *command],
        ["predict", str(folder / "videos" / "00.mp4"), "--checkpoint", str(last)],
    ):
        assert f"{last}: is damaged: archive/data" in refused(arguments)
