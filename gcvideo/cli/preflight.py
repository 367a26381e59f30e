"""`gcvideo preflight`: check machines, data and settings of a run from every rank, before it starts."""

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from gcvideo.cli.run_classes import settle
from gcvideo.cli.run_help import asked_topic, without_topic
from gcvideo.cli.run_parser import RunParser
from gcvideo.cli.video_cli import VideoCLI
from gcvideo.distributed import LaunchedRank
from gcvideo.preflight import (
    AbsentError,
    Job,
    Preflight,
    Rendezvous,
    Report,
    checks_still_running,
    inspect,
)
from gcvideo.private_names import parsers_of_subcommands, runs_nothing
from gcvideo.run_folder import RunFolder
from gcvideo.terminal import Terminal

log = logging.getLogger(__name__)

GOODBYE_SECONDS = 5.0
"""How long rank 0 waits for the others to read the exit code, before its store ends with it."""
LOG_COLUMNS = 180
"""Width of the table where no terminal says it."""


@runs_nothing
class PreflightCLI(VideoCLI):
    """The run that `gcvideo fit` would start with the same arguments, put together and not started."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.add_class_arguments(Preflight, "preflight")

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {"fit": VideoCLI.subcommands()["fit"]}

    def setup_parser(self, *args: Any, **kwargs: Any) -> None:
        super().setup_parser(*args, **kwargs)
        parsers_of_subcommands(self)["fit"].prog = "gcvideo preflight"
        parsers_of_subcommands(self)["fit"].description = (
            "Check, with the arguments of fit and under the same launcher (torchrun, srun), from every "
            "process: versions, configuration, files and clocks agree; no listed video is absent (looked for "
            "by the first rank of every node) and a sample can be read; run_dir is shared "
            "and can be written to; gradients can be exchanged, and how fast; the loader keeps the training "
            "step fed. Prints one table; exits with 1 if anything is wrong."
        )

    def take(self, run: RunFolder, *, goes_on: bool) -> None:
        """Look at a run that stands or goes on, too: nothing is written over."""

    def job(self) -> Job:
        """Return what was put together."""
        self.datamodule.trainer = self.trainer  # which says whether there is validation, and how many ranks
        return Job(self.trainer, self.model, self.datamodule, self.common(), self.config["fit"].run_dir)


def run(arguments: Sequence[str]) -> None:
    """Check what `arguments` would run; exit with 1 if anything is wrong."""
    launched = LaunchedRank.here()
    settings, job = _put_together(arguments, launched)
    rendezvous = Rendezvous.join(launched, seconds=settings.timeout_seconds)
    report = Report()
    try:
        with _ended_by_sigterm(launched), _quiet("gcvideo.data.loading.loader"):
            inspect(job, rendezvous, settings, report)
    except AbsentError as absent:
        report.add_absent(absent.ranks, str(absent))
    except Ended:
        report.add_absent(rendezvous.awaited, "was not heard from when the launcher ended rank 0")
        if not rendezvous.awaited:
            raise
    code = _announce(report, rendezvous) if launched.rank == 0 else _await_exit_code(rendezvous, settings)
    if checks_still_running():  # nothing ends them but the end of the process
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _put_together(arguments: Sequence[str], launched: LaunchedRank) -> tuple[Preflight, Job | str]:
    """Return the settings, and what `gcvideo fit` would run here, or why it would not."""
    try:
        settled = settle(["fit", *without_topic(arguments[1:])])
        cli = PreflightCLI(
            settled.model,
            settled.data,
            task=settled.task,
            args=settled.arguments,
            parser_class=RunParser,
            parser_kwargs={"fit": {"topic": asked_topic(arguments)}},
            save_config_callback=None,
            auto_configure_optimizers=False,
            seed_everything_default=0,
        )
    except SystemExit as refused:
        if launched.world_size == 1 or not refused.code:
            raise
        return Preflight(), "its arguments are refused; see what it says itself"
    except (ValueError, OSError) as error:
        if launched.world_size == 1:
            raise
        return Preflight(), " ".join(str(error).split())
    return cli.config_init["fit"].preflight, cli.job()


class Ended(SystemExit):
    """Raised at SIGTERM, which a launcher sends if another rank has died."""


@contextmanager
def _ended_by_sigterm(launched: LaunchedRank) -> Iterator[None]:
    """Raise Ended at SIGTERM on rank 0, which then still says what it knows."""
    if launched.rank > 0:
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise Ended(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep one log to warnings."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def _announce(report: Report, rendezvous: Rendezvous) -> int:
    """Print the report, tell the others how it ended, and return the exit code."""
    console = Terminal(width=None if sys.stdout.isatty() else LOG_COLUMNS)
    console.print(report.table())
    for sentence in report.sentences():
        console.print(sentence, soft_wrap=True)
    code = int(report.failed)
    console.print(f"preflight: {'failed' if code else 'nothing is wrong'}")
    rendezvous.conclude(code, absent=report.absent, seconds=GOODBYE_SECONDS)
    return code


def _await_exit_code(rendezvous: Rendezvous, settings: Preflight) -> int:
    """Return the exit code that rank 0 found; 1 if it found none."""
    try:
        return rendezvous.exit_code(seconds=settings.timeout_seconds)
    except AbsentError as absent:
        log.error("rank %d: %s, which prints the report", rendezvous.launched.rank, absent)
        return 1
