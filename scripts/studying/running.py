"""Trains, tests and measures the runs of a study by the real commands, each a process of its own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from studying.plan import ROWS, DataSet, Job, Settings
from studying.records import Records, of_run

from gcvideo.run_folder import RunFolder

GCVIDEO = [sys.executable, "-c", "from gcvideo.cli import main; main()"]
SECONDS_BETWEEN_LOOKS = 1.0
MEASURED = ("block", "measured", "distance", "pairs", "mean", "std", "num_clips")


class CommandError(RuntimeError):
    """A command of a run ended with an error, which its log has."""


class Study:
    """Runs jobs, keeps their records, and leaves out what is finished.

    Args:
        folder: Data sets, runs and logs go here.
        records: Where results are kept.
        settings: What all runs have in common.
        num_measured: Test videos that query dependence is measured on.
        keep: Whether checkpoints stay which nothing starts from.
    """

    def __init__(
        self, folder: Path, records: Records, settings: Settings, *, num_measured: int, keep: bool
    ) -> None:
        self.folder = folder
        self.records = records
        self.settings = settings
        self.num_measured = num_measured
        self.keep = keep

    def is_finished(self, job: Job) -> bool:
        return self.records.read(job.name, digest=self.settings.digest(job)) is not None

    def run_folder(self, job: Job) -> RunFolder:
        return RunFolder(self.folder / "runs" / f"{job.name}-{self.settings.digest(job)}")

    def make(self, data: DataSet) -> None:
        """Write an embedded data set, or finish writing it."""
        if data.synthetic is not None:
            sizes = [f"--{name}={value}" for name, value in data.synthetic.items()]
            self._command(
                ["synthetic", str(data.root), *sizes], log=self.folder / "logs" / f"{data.name}.log"
            )

    def run(self, job: Job, *, starts_others: bool, tell: Callable[[float], None]) -> dict[str, Any]:
        """Train, test, measure, and keep the result.

        Args:
            job: What is run.
            starts_others: Whether its weights are started from later.
            tell: Is told the share of the training that is done, 0..1.
        """
        run, began = self.run_folder(job), time.monotonic()
        log = self.folder / "logs" / f"{job.name}.log"
        started = [self.checkpoint(job.before, tell)] if job.before else []
        self.fit(job, started, tell)
        trained = time.monotonic()
        self._command(["test", "--config", str(run.config), "--ckpt_path", str(run.last)], log=log)
        record = of_run(job, self.settings, run)
        record["seconds"] = {"fit": round(trained - began), "test": round(time.monotonic() - trained)}
        if ROWS[job.row].is_non_local:
            record["attention"] = self.measured(job)
        self.records.write(job.name, record)
        if not (self.keep or starts_others):
            shutil.rmtree(run.checkpoints)
        return record

    def checkpoint(self, job: Job, tell: Callable[[float], None]) -> Path:
        """Return the trained weights of a run, which is trained again if another machine has them."""
        run = self.run_folder(job)
        if not (self.is_finished(job) and run.last.exists()):
            if self.is_finished(job):
                shutil.rmtree(run.path, ignore_errors=True)  # what is left of it has no weights
            self.make(job.data)
            self.fit(job, [], tell)
        return run.last

    def fit(self, job: Job, started: Sequence[Path], tell: Callable[[float], None]) -> None:
        """Train, or go on training."""
        run = self.run_folder(job)
        weights = [f"--model.weights.path={path}" for path in started]
        arguments = ["fit", *self._described(job), *weights, "--run_dir", str(run.path), "--resume", "auto"]
        arguments += ["--trainer.enable_progress_bar", "false"]

        def look() -> None:
            if run.curves.exists() and run.config.exists():
                tell(_share_done(run))

        self._command(arguments, log=self.folder / "logs" / f"{job.name}.log", look=look)

    def measured(self, job: Job) -> dict[str, list[dict[str, Any]]]:
        """Return the distances between positions before and after training."""
        run = self.run_folder(job)
        # Before training, a network is drawn from the seed of the run.
        networks = {
            "before": ["--config", str(run.config)],
            "after": ["--checkpoint", str(run.last)],
        }
        found = {}
        for when, network in networks.items():
            out = run.path / "attention" / when
            options = ["--num_videos", str(self.num_measured), "--maps", "0", "--out", str(out)]
            options += ["--seed", str(job.seed)]
            self._command(["attention", *network, *options], log=self.folder / "logs" / f"{job.name}.log")
            table = pd.read_csv(out / "distances.csv")[list(MEASURED)].dropna(
                subset=["mean"]
            )  # JSON has no nan
            found[when] = table.round(7).to_dict("records")
        return found

    def _described(self, job: Job) -> list[str]:
        keys = {"data.root": str(job.data.root), "data.num_workers": str(self.settings.num_workers)}
        keys |= self.settings.keys(job)
        return ["--config", "+".join(self.settings.configs(job)), *(f"--{key}={keys[key]}" for key in keys)]

    def _command(
        self, arguments: Sequence[str], *, log: Path, look: Callable[[], None] | None = None
    ) -> None:
        """Run a command of gcvideo, with what it says in a log.

        Raises:
            CommandError: It has failed.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as said:
            said.write(f"$ gcvideo {' '.join(arguments)}\n")
            said.flush()
            process = subprocess.Popen([*GCVIDEO, *arguments], stdout=said, stderr=said, env=os.environ)
            try:
                while True:
                    try:
                        code = process.wait(SECONDS_BETWEEN_LOOKS)
                        break
                    except subprocess.TimeoutExpired:
                        if look is not None:
                            look()
            except BaseException:
                process.send_signal(signal.SIGINT)  # it keeps a checkpoint, and goes on another day
                process.wait()
                raise
        if code:
            raise CommandError(f"gcvideo {arguments[0]} ended with {code}; {log} says why")


def _share_done(run: RunFolder) -> float:
    """Return which share of its epochs a run has trained."""
    try:
        table = pd.read_csv(run.curves)
    except pd.errors.EmptyDataError:  # it is being written
        return 0.0
    epochs = table["epoch"].dropna() if "epoch" in table else []  # the rate alone is logged at first
    settings = yaml.safe_load(run.config.read_text())
    return float(epochs.max() + 1) / settings["trainer"]["max_epochs"] if len(epochs) else 0.0
