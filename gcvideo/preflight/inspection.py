"""The checks of a preflight in their order, together on all processes."""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lightning.pytorch import Trainer

from gcvideo.agreement import differences, digest_of_values, versions
from gcvideo.data import VideoDataModule
from gcvideo.preflight.findings import Finding, Status, attempt
from gcvideo.preflight.rendezvous import Rendezvous
from gcvideo.preflight.report import Report
from gcvideo.preflight.resources import check_memory, check_open_files
from gcvideo.preflight.run_dir import check_run_dir, check_same_run_dir, mark
from gcvideo.preflight.speed import check_all_reduce, check_feeding
from gcvideo.preflight.videos import check_listed, check_videos, seconds_to_look
from gcvideo.training import VideoClassifier

SLACK_SECONDS = 5.0
"""Within which processes that began a check together have told of it."""

Same = dict[str, dict[str, str]]
"""By check, names and values that must be the same on every process."""


@dataclass(frozen=True)
class Preflight:
    """How thoroughly to look, and how long to wait.

    Args:
        timeout_seconds: How long a process may take to come, and then for each part of the inspection.
        num_videos: Training and validation videos that every process reads.
        measure_seconds: How long the loader is measured, and then the training step.
        max_clock_skew_seconds: How far a clock may be from that of rank 0.
    """

    timeout_seconds: float = 60.0
    num_videos: int = 16
    measure_seconds: float = 10.0
    max_clock_skew_seconds: float = 2.0

    def __post_init__(self) -> None:
        for name, number in vars(self).items():
            if number <= 0:
                raise ValueError(f"preflight.{name} is {number}; expected more than 0")


class Job(NamedTuple):
    """What `gcvideo fit` would run in this process."""

    trainer: Trainer
    model: VideoClassifier
    data: VideoDataModule
    common: Mapping[str, Callable[[], dict[str, str]]]
    """By check, names and values that must be the same on every rank."""
    run_dir: Path


def inspect(job: Job | str, rendezvous: Rendezvous, settings: Preflight, report: Report) -> None:
    """Look at everything, together with all other processes.

    Args:
        job: What would be run here, or why it cannot be.
        rendezvous: The processes.
        settings: How thoroughly.
        report: Where to put what is found, as soon as it is: on rank 0 of all processes.

    Raises:
        AbsentError: Processes said nothing in time.
    """
    patience, launched = settings.timeout_seconds, rendezvous.launched
    # A process that is still starting is waited for; from here on all of them do the same.
    report.hosts.update(rendezvous.gather("host", socket.gethostname(), seconds=patience))
    token = rendezvous.shared_token(seconds=patience)

    deadline = time.monotonic() + patience
    found, same = _look_alone(job, settings, rank=launched.rank, token=token)
    _tell(rendezvous, report, "facts", found, deadline=deadline)
    _compare(rendezvous.gather("values", same, seconds=SLACK_SECONDS), report)
    for other, offset in rendezvous.clock_offsets(seconds=patience).items():
        report.add(other, _judge_clock(offset, settings.max_clock_skew_seconds))

    if rendezvous.all_agree("begin", isinstance(job, Job), seconds=SLACK_SECONDS):
        assert isinstance(job, Job)
        trainer, model, data, _, run_dir = job
        # The first rank of each node looks for all videos: a node may lack what the others see.
        looks = launched.local_rank == 0 and "files" in same
        limit = patience + (seconds_to_look(data) if "files" in same else 0)
        deadline = time.monotonic() + limit
        looked = attempt("listed videos", lambda: [check_listed(data)], seconds=limit) if looks else []
        _tell(rendezvous, report, "listed", looked, deadline=deadline)

        shared = attempt("run_dir", lambda: [check_same_run_dir(run_dir, token=token)], seconds=patience)
        device = trainer.strategy.root_device
        deadline = time.monotonic() + patience
        reduced = attempt(
            "all-reduce", lambda: [check_all_reduce(rendezvous, device, seconds=patience)], seconds=patience
        )
        _tell(rendezvous, report, "all-reduce", shared + reduced, deadline=deadline)
        mark(run_dir, launched.rank).unlink(missing_ok=True)

        limit = patience + 2 * settings.measure_seconds
        deadline = time.monotonic() + limit
        fed = attempt(
            "loader",
            lambda: check_feeding(trainer, model, data, seconds=settings.measure_seconds),
            seconds=limit,
        )
        _tell(rendezvous, report, "speeds", fed, deadline=deadline)


def _look_alone(job: Job | str, settings: Preflight, *, rank: int, token: str) -> tuple[list[Finding], Same]:
    """What this process finds by itself, within timeout_seconds in all."""
    deadline = time.monotonic() + settings.timeout_seconds
    same: Same = {}

    def note(check: str, values: Callable[[], dict[str, str]]) -> list[Finding]:
        def work() -> list[Finding]:
            same[check] = values()
            return [Finding(check, Status.OK, digest_of_values(same[check]))]

        return attempt(check, work, seconds=max(deadline - time.monotonic(), 0))

    if not isinstance(job, Job):
        return [*note("versions", versions), Finding("config", Status.FAILED, job)], same
    found = [finding for check, values in job.common.items() for finding in note(check, values)]
    for check, work in {
        "memory": lambda: [check_memory(job.data, processes_here=job.trainer.num_devices)],
        "open files": lambda: [check_open_files(job.data)],
        "videos": lambda: [check_videos(job.data, num_videos=settings.num_videos)],
        "run_dir": lambda: [check_run_dir(job.run_dir, job.model, rank=rank, token=token)],
    }.items():
        found += attempt(check, work, seconds=max(deadline - time.monotonic(), 0))
    return found, same


def _tell(
    rendezvous: Rendezvous, report: Report, part: str, found: list[Finding], *, deadline: float
) -> None:
    """To rank 0, where what other processes found is awaited a little longer than they may take for it."""
    seconds = max(deadline - time.monotonic(), 0) + SLACK_SECONDS
    for rank, said in rendezvous.gather(part, found, seconds=seconds).items():
        report.add(rank, *(Finding(check, Status(status), text) for check, status, text in said))


def _compare(of_ranks: dict[int, Same], report: Report) -> None:
    for check in sorted({check for same in of_ranks.values() for check in same}):
        values = {rank: same[check] for rank, same in of_ranks.items() if check in same}
        for rank, said in differences(values).items():
            if said:
                report.add(rank, Finding(check, Status.FAILED, "; ".join(said)))


def _judge_clock(offset: float, limit: float) -> Finding:
    if abs(offset) > limit:
        said = f"is {offset:+.1f} s from that of rank 0, more than {limit:g} s; run a time service (chrony)"
        return Finding("clock", Status.FAILED, said)
    return Finding("clock", Status.OK, f"{1000 * offset:+.0f} ms")
