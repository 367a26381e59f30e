"""Note requests to stop: SIGTERM, SIGUSR1 and Ctrl-C."""

import logging
import multiprocessing
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

EXIT_CODE = 128 + signal.SIGTERM
"""143: what a shell reports of a process that SIGTERM ended."""


class Stopped(SystemExit):
    """End the process with exit code 143, since the run was asked to stop."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


class StopSignals:
    """Note SIGTERM and SIGUSR1, which a scheduler sends before it takes the machine away.

    Python's own handlers run only between two instructions of the main thread, which may wait for another
    process or a device for minutes. So a thread reads the signals too, and ends the process for good when it
    is still there `grace_seconds` later, with its loader workers.
    """

    def __init__(self, grace_seconds: float) -> None:
        self.grace_seconds = grace_seconds
        self.received: signal.Signals | None = None
        self.may_end: Callable[[], bool] = lambda: True
        """Whether a signal may end, at once, what the main thread is doing; else it is only noted."""
        self._process = os.getpid()
        self._previous: dict[signal.Signals, Any] = {}
        self._over = threading.Event()

    def listen(self) -> None:
        """Take signals from now on; only the main thread can."""
        self._over.clear()
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        self._previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        self._previous_descriptor = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._writing = writing
        threading.Thread(target=self._watch, args=(reading,), daemon=True).start()

    def ignore(self) -> None:
        """Let signals go where they went before."""
        if not self._previous:
            return
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
        signal.set_wakeup_fd(self._previous_descriptor)
        self._over.set()
        os.close(self._writing)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a loader's worker, which ends with its parent
            return
        self.received = self.received or signal.Signals(number)
        if self.may_end():
            self.may_end = lambda: False
            raise Stopped

    def _watch(self, reading: int) -> None:
        with os.fdopen(reading, "rb", buffering=0) as numbers:
            while number := numbers.read(1):
                if number[0] in SIGNALS:
                    self.received = self.received or signal.Signals(number[0])
                    break
        if self.received and not self._over.wait(self.grace_seconds):
            log.error("still busy %g s after %s; ending", self.grace_seconds, self.received.name)
            for worker in multiprocessing.active_children():
                worker.kill()
            os._exit(EXIT_CODE)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait until the block ends; within torch.save it is an error of the archive, or SIGABRT."""
    if threading.current_thread() is not threading.main_thread():  # which alone is interrupted
        yield
        return
    interrupts: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: interrupts.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if interrupts and callable(previous):
        previous(signal.SIGINT, None)


def requeue() -> None:
    """Ask Slurm to start this job again when it can; outside of Slurm, do nothing."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    subprocess.run(["scontrol", "requeue", job], check=True)
    log.info("Slurm was asked to requeue job %s", job)
