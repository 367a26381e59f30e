"""The checks of a preflight in their order, on all ranks together."""

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
"""Within which ranks that began a check together have told of it."""

Same = dict[str, dict[str, str]]
"""By check, names and values that must be the same on every rank."""


@dataclass(frozen=True)
class Preflight:
    """How thoroughly to look, and how long to wait.

    Args:
        timeout_seconds: How long a rank may take to come, and then for each part of the inspection; looking
            for all listed videos may take a second more for every thousand.
        num_videos: Training and validation videos that every rank reads.
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
    """What `gcvideo fit` would run on this rank."""

    trainer: Trainer
    model: VideoClassifier
    data: VideoDataModule
    common: Mapping[str, Callable[[], dict[str, str]]]
    """By check, names and values that must be the same on every rank."""
    run_dir: Path


def inspect(job: Job | str, rendezvous: Rendezvous, settings: Preflight, report: Report) -> None:
    """Check everything, together with all other ranks.

    Args:
        job: What would be run here, or why it cannot be.
        rendezvous: The ranks.
        settings: How thoroughly.
        report: Where to put what is found, as soon as it is; on rank 0 that of all ranks.

    Raises:
        AbsentError: Some ranks said nothing in time.
    """
    patience, launched = settings.timeout_seconds, rendezvous.launched
    # Wait for ranks that are still starting; from here on all of them do the same.
    report.hosts.update(rendezvous.gather("host", socket.gethostname(), seconds=patience))
    token = rendezvous.shared_token(seconds=patience)

    # Check what a rank can check by itself, and compare what must be the same.
    deadline = time.monotonic() + patience
    found, same = _look_alone(job, settings, rank=launched.rank, token=token)
    _tell(rendezvous, report, "facts", found, deadline=deadline)
    _compare(rendezvous.gather("values", same, seconds=SLACK_SECONDS), report)
    for other, offset in rendezvous.clock_offsets(seconds=patience).items():
        report.add(other, _judge_clock(offset, settings.max_clock_skew_seconds))

    if rendezvous.all_agree("begin", isinstance(job, Job), seconds=SLACK_SECONDS):
        assert isinstance(job, Job)
        if rendezvous.all_agree("lists", "files" in same, seconds=SLACK_SECONDS):
            _look_for_videos(job, rendezvous, settings, report)
        _look_together(job, rendezvous, settings, report, token=token)


def _look_for_videos(job: Job, rendezvous: Rendezvous, settings: Preflight, report: Report) -> None:
    """Report listed videos that are absent, as the first rank of each node finds; a node may lack a mount."""
    limit = settings.timeout_seconds + seconds_to_look(job.data)
    deadline = time.monotonic() + limit
    looks = rendezvous.launched.local_rank == 0
    found = attempt("listed videos", lambda: [check_listed(job.data)], seconds=limit) if looks else []
    _tell(rendezvous, report, "listed", found, deadline=deadline)


def _look_together(
    job: Job, rendezvous: Rendezvous, settings: Preflight, report: Report, *, token: str
) -> None:
    """Report what ranks can only find together, or should measure at the same time."""
    trainer, model, data, _, run_dir = job
    patience, device = settings.timeout_seconds, trainer.strategy.root_device

    # See whether the run's folder is shared, and exchange gradients.
    shared = attempt("run_dir", lambda: [check_same_run_dir(run_dir, token=token)], seconds=patience)
    deadline = time.monotonic() + patience
    reduced = attempt(
        "all-reduce", lambda: [check_all_reduce(rendezvous, device, seconds=patience)], seconds=patience
    )
    _tell(rendezvous, report, "all-reduce", shared + reduced, deadline=deadline)
    mark(run_dir, rendezvous.launched.rank).unlink(missing_ok=True)

    # Measure loader and step while all ranks do.
    limit = patience + 2 * settings.measure_seconds
    deadline = time.monotonic() + limit
    fed = attempt(
        "loader",
        lambda: check_feeding(trainer, model, data, seconds=settings.measure_seconds),
        seconds=limit,
    )
    _tell(rendezvous, report, "speeds", fed, deadline=deadline)


def _look_alone(job: Job | str, settings: Preflight, *, rank: int, token: str) -> tuple[list[Finding], Same]:
    """Return what this rank finds by itself within timeout_seconds, and what must be the same elsewhere."""
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
    """Report findings to rank 0, which waits for those of others a little longer than they may take."""
    seconds = max(deadline - time.monotonic(), 0) + SLACK_SECONDS
    for rank, said in rendezvous.gather(part, found, seconds=seconds).items():
        report.add(rank, *(Finding(check, Status(status), text) for check, status, text in said))


def _compare(of_ranks: dict[int, Same], report: Report) -> None:
    """Report in what ranks differ that must be the same."""
    for check in sorted({check for same in of_ranks.values() for check in same}):
        values = {rank: same[check] for rank, same in of_ranks.items() if check in same}
        for rank, said in differences(values).items():
            if said:
                report.add(rank, Finding(check, Status.FAILED, "; ".join(said)))


def _judge_clock(offset: float, limit: float) -> Finding:
    """Return whether a clock is near enough to that of rank 0."""
    if abs(offset) > limit:
        said = f"is {offset:+.1f} s from that of rank 0, more than {limit:g} s; run a time service (chrony)"
        return Finding("clock", Status.FAILED, said)
    return Finding("clock", Status.OK, f"{1000 * offset:+.0f} ms")
