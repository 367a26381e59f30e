"""scripts/train_slurm.sbatch in a real Slurm, on two nodes."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.annotated import write_dataset
from tests.journey.slurm import Cluster, NoSlurm
from tests.training.runs import batches, fault, last_checkpoint, write_config

PROJECT = Path(__file__).parents[2]
NUM_STEPS = 40
OPTIONS = ["--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1", "--gpus-per-node=0", "--time=30"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    except NoSlurm as reason:
        pytest.skip(f"no Slurm: {reason}")
    yield cluster
    cluster.close()


def submit(cluster: Cluster, folder: Path, *arguments: str, **environment: str) -> str:
    """The job's number."""
    script = str(PROJECT / "scripts" / "train_slurm.sbatch")
    sbatch = ["sbatch", "--parsable", f"--chdir={PROJECT}", f"--output={folder}/log", *OPTIONS]
    said = cluster.run(
        [*sbatch, script, "--config", str(folder / "run.yaml"), *arguments],
        PATH=f"{Path(sys.executable).parent}:{cluster.environment['PATH']}",
        PYTHONPATH=str(PROJECT),
        MASTER_ADDR="127.0.0.1",  # node0 is no name that anybody knows
        **environment,
    )
    return said.strip()


def steps(folder: Path) -> list[int]:
    """Steps whose loss was logged."""
    file = folder / "run" / "metrics" / "metrics.csv"
    rows = csv.DictReader(file.read_text().splitlines()) if file.exists() else []
    return [int(row["step"]) for row in rows if row.get("train/loss")]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_that_is_preempted_and_reaches_its_limit_is_requeued_and_finishes(cluster, tmp_path):
    root = write_dataset(tmp_path / "videos", train=8, val=4, test=2)
    slowly = fault("SlowJitter", seconds=0.4)
    write_config(tmp_path, root, data={"train_transform": slowly}, trainer={"max_epochs": NUM_STEPS // 2})
    job = submit(cluster, tmp_path)
    cluster.wait(lambda: len(steps(tmp_path)) > 4, seconds=180)

    cluster.run(["scontrol", "requeue", job])  # SIGTERM to every task, as a preemption does
    cluster.wait(lambda: cluster.facts(job)["Restarts"] == "1", seconds=120)
    stopped_after = len(steps(tmp_path))
    cluster.wait(lambda: len(steps(tmp_path)) > stopped_after + 2, seconds=180)

    # The limit is now less than the two minutes away before which every task is sent SIGUSR1.
    minutes = int(cluster.facts(job)["RunTime"].split(":")[1]) + 2
    cluster.run(["scontrol", "update", f"jobid={job}", f"timelimit={minutes}"])
    cluster.wait(lambda: cluster.facts(job)["Restarts"] == "2", seconds=120)
    cluster.run(["scontrol", "update", f"jobid={job}", "timelimit=30"])
    cluster.wait(
        lambda: cluster.facts(job)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING"), seconds=240
    )

    facts, log = cluster.facts(job), (tmp_path / "log").read_text()
    assert (facts["JobState"], facts["ExitCode"], facts["Restarts"]) == ("COMPLETED", "0:0", "2"), log
    assert log.count("resumed after step") == 2, log
    assert steps(tmp_path) == list(range(NUM_STEPS))
    assert last_checkpoint(tmp_path)["global_step"] == NUM_STEPS
    assert len(batches(tmp_path)) == 2 * (NUM_STEPS + 1)  # and one line for the end, of each task


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_nodes_are_checked_before(cluster, tmp_path):
    root = write_dataset(tmp_path / "videos", train=8, val=4, test=2)
    write_config(tmp_path, root)
    job = submit(cluster, tmp_path, "--preflight.measure_seconds=0.2", PREFLIGHT="1")
    cluster.wait(
        lambda: cluster.facts(job)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING"), seconds=240
    )
    log = (tmp_path / "log").read_text()
    assert cluster.facts(job)["JobState"] == "COMPLETED", log
    assert "preflight: nothing is wrong" in log
    assert log.count("GB/s") == 2
