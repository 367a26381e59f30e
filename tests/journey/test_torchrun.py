"""scripts/train_torchrun.sh on two machines, as two agents that meet on the loopback device."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.data.annotated import write_dataset
from tests.training.runs import batches, differences, fault, finish, free_port, start, write_config

PROJECT = Path(__file__).parents[2]
NUM_STEPS = 12
SETTINGS = {
    # Clips are read slowly, so that there is time to kill a process between two steps.
    "data": {"train_transform": fault("SlowJitter", seconds=0.2)},
    "trainer": {"max_epochs": NUM_STEPS // 2},
    "safeguard": {"every_steps": 3},
}


def start_agents(folder: Path, *arguments: str, **environment: str) -> list[subprocess.Popen[bytes]]:
    """The same line on two machines."""
    shared = os.environ | {
        "NNODES": "2",
        "NPROC_PER_NODE": "1",
        "RDZV_ENDPOINT": f"127.0.0.1:{free_port()}",
        "PET_LOCAL_ADDR": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
    }
    line = [PROJECT / "scripts" / "train_torchrun.sh", "--config", folder / "run.yaml", *arguments]
    agents = []
    for machine in (0, 1):
        with (folder / f"said.{machine}").open("ab") as said:
            agents.append(
                subprocess.Popen(line, env=shared | environment, stdout=said, stderr=said, cwd=folder)
            )
    return agents


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def end(agents: list[subprocess.Popen[bytes]], *, seconds: float) -> list[int]:
    """Their exit codes."""
    deadline = time.monotonic() + seconds
    try:
        return [agent.wait(max(deadline - time.monotonic(), 0)) for agent in agents]
    finally:
        for agent in agents:
            agent.terminate()
            agent.wait()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")
@pytest.mark.timeout(600)
def test_a_killed_process_is_started_again_and_the_run_ends_as_if_nothing_had_been(tmp_path):
    root = write_dataset(tmp_path / "videos", train=8, val=4, test=2)
    folder, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    for run in (folder, undisturbed):
        write_config(run, root, **SETTINGS)
    assert finish(start(undisturbed / "run.yaml", processes=2), seconds=120) == [0, 0]

    agents = start_agents(folder)
    deadline = time.monotonic() + 180
    while not any(batch >= 5 for _, batch in batches_so_far(folder)):
        assert time.monotonic() < deadline, said_by(folder)
        time.sleep(0.1)
    (victim,) = children(agents[1].pid)
    os.kill(victim, signal.SIGKILL)
    assert end(agents, seconds=240) == [0, 0], said_by(folder)
    said = said_by(folder)
    assert f"exitcode: -9) local_rank: 0 (pid: {victim})" in said
    assert "resumed after step" in said
    assert {batch for rank, batch in batches(folder) if rank == 1} == {*range(1, NUM_STEPS + 1), 0}
    assert differences(folder, undisturbed) == []


def batches_so_far(folder: Path) -> list[tuple[int, int]]:
    """By process and number; the last line may be half written."""
    lines = {file: file.read_text().splitlines()[:-1] for file in (folder / "record").glob("*.jsonl")}
    return [(int(file.stem), number) for file, of_rank in lines.items() for number in range(1, len(of_rank))]


def said_by(folder: Path) -> str:
    return "".join(file.read_text() for file in sorted(folder.glob("said.*")))


@pytest.mark.slow
def test_both_machines_are_checked_before(tmp_path):
    root = write_dataset(tmp_path / "videos", train=8, val=4, test=2)
    write_config(tmp_path, root)
    agents = start_agents(tmp_path, "--preflight.measure_seconds=0.2", PREFLIGHT="1")
    assert end(agents, seconds=120) == [0, 0], said_by(tmp_path)
    said = said_by(tmp_path)
    assert "preflight: nothing is wrong" in said
    assert said.count("GB/s") == 2
