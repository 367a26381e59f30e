"""What a run says while it runs and when it is over, in a terminal and in a file."""

import logging
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gcvideo.cli import main
from gcvideo.cli.log import StandardError
from tests.data.annotated import write_dataset
from tests.training.runs import fault, write_config

STEPS_PER_EPOCH = 4
BAR = re.compile(r"^Epoch (\d+)/\d+ +[━╸╺]+ (\d+)/(\d+)")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "videos", train=2 * STEPS_PER_EPOCH, val=4, test=3)


SLOWLY = {"train_transform": fault("SlowJitter", seconds=0.2)}
"""Clips that take longer than the bar's next refresh."""


def config_of(
    folder: Path, root: Path, *faults: dict, data: dict[str, object] | None = None, **trainer: object
) -> Path:
    """A run of four epochs with a bar, a sanity check, and a validation after every second epoch."""
    settings = {"max_epochs": 4, "check_val_every_n_epoch": 2, "num_sanity_val_steps": 2}
    return write_config(
        folder, root, *faults, data=data or {}, trainer={**settings, "enable_progress_bar": True, **trainer}
    )


def in_terminal(*arguments: str, code: int = 0) -> list[str]:
    """Run `gcvideo` in a terminal of 160 columns; give every state that a line of it had."""
    states = re.split(r"[\r\n]+", ESCAPES.sub("", written_to_terminal(*arguments, code=code)))
    return [state.rstrip() for state in states if state.strip()]


def written_to_terminal(*arguments: str, code: int = 0, **variables: str) -> str:
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "COLUMNS": "160",
        "TERM": "xterm-256color",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),  # for networks and transforms of the tests
        **variables,
    }
    command = [sys.executable, "-c", "from gcvideo.cli import main; main()", *arguments]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.wait() == code, shown.decode()
    return shown.decode()


@pytest.fixture(scope="module")
def seen(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return in_terminal("fit", "--config", str(config_of(tmp_path_factory.mktemp("seen"), root, data=SLOWLY)))


def test_lines_stand_above_the_bar_and_never_in_it(seen):
    assert any(BAR.match(state) for state in seen)
    facts = [state for state in seen if not re.match(r"Epoch \d+/3 +[━╸╺]|Validation|Sanity", state)]
    for line in ("pyav read 8 files", "pyav read 4 files"):
        assert facts.count(line) == 1
        assert sum(line in state for state in seen) == 1
    assert sum("peak learning rate" in state for state in seen) == 1
    assert sum(state.startswith("TwoLayers: ") for state in seen) == 1
    assert facts[-1].startswith("next: gcvideo test ")


def test_no_figure_of_the_sanity_check_is_in_the_bar(seen):
    first_epoch = [state for state in seen if (bar := BAR.match(state)) and bar[1] == "0"]
    assert BAR.match(first_epoch[0])[2] == "0"
    assert not any("val/" in state for state in first_epoch)
    assert any("val/top1" in state for state in seen if state.startswith("Epoch 2/3  "))


def test_the_bar_says_what_the_whole_run_still_takes(seen):
    assert any(
        re.search(r"run: \d:\d\d:\d\d left", state) for state in seen if state.startswith("Epoch 0/3 ")
    )


def test_a_resumed_bar_goes_on_where_the_run_was_stopped(root, tmp_path):
    stop = fault("Signal", number=int(signal.SIGTERM), step=3, moment="step", once=str(tmp_path / "stopped"))
    config = str(config_of(tmp_path, root, stop, data=SLOWLY))
    in_terminal("fit", "--config", config, code=143)
    seen = in_terminal("fit", "--config", config, "--resume", "auto")
    places = [(int(bar[1]), int(bar[2])) for state in seen if (bar := BAR.match(state))]
    assert min(places[1:]) == (0, 3)  # the first is drawn before the bar is told
    assert places == sorted(places)
    assert max(places) == (3, STEPS_PER_EPOCH)


def test_a_terminal_without_colours_or_cursor_gets_none(root, tmp_path):
    config = str(config_of(tmp_path, root, max_epochs=1))
    plain = written_to_terminal("fit", "--config", config, "--run_dir", str(tmp_path / "a"), NO_COLOR="1")
    assert "Epoch 0/0 " in plain
    assert not re.search(r"\x1b\[(?:3|4|9|10)\d[;m]", plain)
    dumb = written_to_terminal("fit", "--config", config, "--run_dir", str(tmp_path / "b"), TERM="dumb")
    assert "Epoch 0/0, step 4: " in dumb
    assert "\x1b" not in dumb


def test_a_file_gets_plain_lines_each_fact_once_and_the_next_command_works(root, tmp_path, capsys):
    main(["fit", "--config", str(config_of(tmp_path, root))])
    said = capsys.readouterr().err
    assert not re.search(r"[\x00-\x08\x0b-\x1f━]", said)
    lines = said.splitlines()
    assert len(lines) == len(set(lines))
    assert [re.sub(r"[\d.]+ %|loss [\d.]+|\d:\d\d:\d\d left", "#", line) for line in lines[-6:-2]] == [
        "Epoch 0/3, step 4: #",
        "Epoch 1/3, step 8: val/#, val/top1 #, #",
        "Epoch 2/3, step 12: #",
        "Epoch 3/3, step 16: val/#, val/top1 #",
    ]
    assert re.fullmatch(rf"best val/top1 \d+\.\d\d %: {tmp_path}/run/checkpoints/best.ckpt", lines[-2])

    command = shlex.split(lines[-1].removeprefix("next: "))
    assert command[:2] == ["gcvideo", "test"]
    main([*command[1:], "--trainer.callbacks", "null"])
    table = capsys.readouterr().out
    assert [line[:20].strip() for line in table.splitlines()[1:]] == [
        *("top-1", "mean over classes", "loss", "videos")
    ]


def test_a_run_of_no_validation_names_its_newest_checkpoint(root, tmp_path, capsys):
    main(["fit", "--config", str(config_of(tmp_path, root, limit_val_batches=0, max_epochs=1))])
    *_, newest, following = capsys.readouterr().err.splitlines()
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert newest == f"nothing was validated; the newest checkpoint: {last}"
    assert following.endswith(f"--ckpt_path {last}")


def test_where_there_is_nothing_to_test_validate_comes_next(root, tmp_path, capsys):
    config = config_of(tmp_path, root, max_epochs=1, check_val_every_n_epoch=1)
    main(["fit", "--config", str(config), "--data.test", "none.csv"])
    assert capsys.readouterr().err.splitlines()[-1].startswith("next: gcvideo validate ")


def test_a_bar_of_ones_own_and_none_at_all_are_left_as_they_are(root, tmp_path, capsys):
    own = {"class_path": "lightning.pytorch.callbacks.RichProgressBar"}
    main(["fit", "--config", str(config_of(tmp_path / "own", root, own, max_epochs=1))])
    assert "Epoch 0/0 " in capsys.readouterr().out
    main(["fit", "--config", str(config_of(tmp_path / "no", root, enable_progress_bar=False, max_epochs=1))])
    assert "Epoch" not in capsys.readouterr().err


def test_a_line_of_the_log_goes_to_the_standard_error_of_the_moment(capsys, monkeypatch):
    handler = StandardError()
    with (Path(os.devnull)).open("w") as elsewhere:
        monkeypatch.setattr(sys, "stderr", elsewhere)
        handler.emit(logging.makeLogRecord({"name": "gcvideo", "msg": "lost"}))
        monkeypatch.undo()
    handler.emit(logging.makeLogRecord({"name": "gcvideo", "msg": "seen"}))
    assert capsys.readouterr().err == "seen\n"
