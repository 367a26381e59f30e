"""One process of a run is lost: the others end and name it, and torchrun starts them again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.annotated import write_dataset
from tests.training.runs import differences, fault, finish, run, said, start, write_config

PROJECT = Path(__file__).parents[2]
LIMIT_SECONDS = 60.0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "videos", train=9, val=5, test=1)


@pytest.mark.parametrize(("lost", "processes"), [(0, 2), (1, 3)])
def test_a_process_that_dies_is_named_by_the_others_which_end(tmp_path, root, lost, processes):
    kill = fault("Signal", number=int(signal.SIGKILL), step=2, process=lost)
    config = write_config(tmp_path, root, kill, data={"batch_size": 1}, safeguard={"every_steps": 1})
    codes = run(config, processes=processes, seconds=LIMIT_SECONDS)
    survivors = [process for process in range(processes) if process != lost]
    assert [codes[process] for process in survivors] == [1] * len(survivors)
    told = (tmp_path / f"said.{survivors[0]}").read_text()
    assert "Traceback" not in told
    assert f"process {lost} of {processes} (counted from 0) is gone or does not answer" in told
    assert "the last checkpoint is of step 1, and --resume auto goes on from it" in told


def test_a_process_that_dies_in_an_evaluation_is_named_too(tmp_path, root):
    kill = fault("Signal", number=int(signal.SIGKILL), step=0, moment="validation", process=1)
    config = write_config(tmp_path, root, kill)
    assert run(config, command="validate", processes=2, seconds=LIMIT_SECONDS) == [1, -signal.SIGKILL]
    line = (tmp_path / "said.0").read_text().splitlines()[-1]
    assert line == ("gcvideo validate: process 1 of 2 (counted from 0) is gone or does not answer, see there")


def test_a_process_that_hangs_is_named_when_the_time_limit_of_the_others_is_over(tmp_path, root):
    stop = fault("Signal", number=int(signal.SIGSTOP), step=2, process=1)
    config = write_config(tmp_path, root, stop, data={"batch_size": 1})
    strategy = "lightning.pytorch.strategies.DDPStrategy"
    limited = [f"--trainer.strategy={strategy}", "--trainer.strategy.timeout=0:00:05"]
    waiting, hanging = start(config, *limited, processes=2)
    try:
        assert finish([waiting], seconds=LIMIT_SECONDS) == [1]
        assert hanging.is_alive()
    finally:
        finish([hanging], seconds=0.0)
    assert "process 1 of 2 (counted from 0) is gone or does not answer" in (tmp_path / "said.0").read_text()


def torchrun(config: Path) -> subprocess.CompletedProcess[str]:
    """The run under a real torchrun, which may start it three times again."""
    settings = {
        "NPROC_PER_NODE": "2",
        "MAX_RESTARTS": "3",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.run(
        [PROJECT / "scripts" / "train_torchrun.sh", "--config", config],
        capture_output=True,
        text=True,
        timeout=280,
        env=os.environ | settings,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_of_ten_runs_that_torchrun_starts_again_end_as_one_never_stopped(tmp_path, root):
    whole = tmp_path / "whole"
    assert run(write_config(whole, root), processes=2) == [0, 0], said(whole)
    for number in range(10):
        killed = tmp_path / str(number)
        moment = ("step", "saving", "validation")[number % 3]
        kill = fault(
            "Signal",
            number=int(signal.SIGKILL),
            step=2,
            moment=moment,
            process=(number + 1) % 2,
            once=str(tmp_path / f"killed {number}"),
        )
        config = write_config(killed, root, kill, safeguard={"every_steps": 1})
        done = torchrun(config)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr.count("resuming from") == 1  # the first restart succeeded
        assert (tmp_path / f"killed {number}").exists()
        assert differences(killed, whole) == []


@pytest.mark.parametrize(
    ("shared", "restarts", "warned"), [("True", "3", True), ("True", "0", False), ("False", "3", False)]
)
def test_torchrun_whose_restarts_share_a_store_is_told_of(tmp_path, root, shared, restarts, warned):
    environment = {"TORCHELASTIC_USE_AGENT_STORE": shared, "TORCHELASTIC_MAX_RESTARTS": restarts}
    config = write_config(tmp_path, root, trainer={"max_epochs": 1})
    assert run(config, environment=environment) == [0], said(tmp_path)
    assert ("give torchrun TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" in said(tmp_path)) == warned
