"""One process that reads batches, as it is seen by the process that started it."""

import errno
import faulthandler
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import multiprocessing

from gcvideo.data import handover
from gcvideo.data.batch import read_batch
from gcvideo.data.dataset import SampleKey, VideoDataset
from gcvideo.memory import keep_freed_memory
from gcvideo.shortage import lacks_files, shortage

MEMORY_KEPT = 2**28
"""Bytes that a process keeps for the next clips: more than those of a video's thirty views."""
POLL_SECONDS = 1.0
LOOKED_AWAY_SECONDS = 5.0
"""Between two looks at a process, after which nothing is known of the time between."""
END_SECONDS = 10.0
"""How long a killed process may take to end: one that waits for a dead disk does not even then."""
ORPHAN_GRACE_SECONDS = 30.0
STANDARD_ERROR = 2
NO_FILES = 24
"""Exit code of a process that cannot even open what it would send its error in."""


KILLED = (
    "the loader process was killed (SIGKILL), as the kernel does where memory is short; "
    "fewer data.num_workers take less"
)


class Loss(NamedTuple):
    """How a process was lost."""

    how: str
    """What it did, or what was done to it."""
    blames_video: bool
    """Whether the video that it was reading is to blame, and not the system."""


class _Life(NamedTuple):
    """What the system says of a process: field 3, and fields 14 and 15, of /proc/PID/stat (proc(5))."""

    state: str
    ticks: int
    """Processor time it has used, by itself and by the system for it."""

    @classmethod
    def of(cls, pid: int | None) -> "_Life | None":
        """None where it has ended, or the system says nothing."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return cls(fields[0], int(fields[11]) + int(fields[12]))


class LoaderProcess:
    """One process, and the batches it has been given."""

    def __init__(self, dataset: VideoDataset, timeout_seconds: float) -> None:
        context: BaseContext = multiprocessing.get_context()
        self.given: dict[int, list[SampleKey]] = {}
        self._timeout_seconds = timeout_seconds
        self._reading = context.RawArray("d", 2)  # index of the video, since when; 0 is not reading
        self._life: _Life | None = None
        self._still_since = self._watched_since = self._looked_at = time.monotonic()
        self.connection, child = context.Pipe()
        self.process = context.Process(  # pyright: ignore[reportAttributeAccessIssue]
            target=_serve, args=(child, dataset, self._reading, timeout_seconds), daemon=True
        )
        self.process.start()
        child.close()

    def give(self, ticket: int, keys: list[SampleKey], lost: Mapping[int, str]) -> None:
        self.given[ticket] = keys
        with suppress(
            BrokenPipeError, ConnectionResetError
        ):  # it is dead, which is seen when it is waited for
            self.connection.send((ticket, keys, {i: lost[i] for _, i in keys if i in lost}))

    @property
    def video(self) -> int | None:
        """The index of the video it is reading."""
        index, since = self._reading
        return int(index) if since else None

    def overdue(self) -> Loss | None:
        """Return how it has come to take too long, if it has: over one video, or doing nothing at all.

        Time counts while this is called again and again. Before that both processes may have been stopped, or
        this one was busy elsewhere. Between two videos only time counts in which the process neither runs nor
        waits for a processor: starting it may take long, and so may putting a large batch together.
        """
        now, (_, since), life = time.monotonic(), self._reading, _Life.of(self.process.pid)
        if now - self._looked_at > LOOKED_AWAY_SECONDS:
            self._watched_since = self._still_since = now
        self._looked_at = now
        if since or not self.given or life is None or life.state == "R" or life != self._life:
            self._still_since = now
        self._life = life
        limit = self._timeout_seconds
        if not limit:
            return None
        if since and now - max(since, self._watched_since) > limit:
            if life is not None and life.state in "Tt":
                return Loss(
                    f"the loader process was stopped by a signal for more than {limit:g} s",
                    blames_video=False,
                )
            return Loss(f"decoding took more than {limit:g} s", blames_video=True)
        if now - self._still_since > limit:
            return Loss(f"the loader process did nothing for more than {limit:g} s", blames_video=False)
        return None

    def death(self, error: EOFError | OSError) -> Loss:
        """Return how the process died whose connection gave `error`; raise where nobody killed it.

        Raises:
            OSError: It is alive, and `error` is this process's own; or it could open no more files.
            ChildProcessError: It ended by an exception.
        """
        self.process.join(POLL_SECONDS)
        code, since = self.process.exitcode, self._reading[1]
        if code is None:
            raise error
        if code == -signal.SIGKILL:
            return Loss(KILLED, blames_video=False)
        if code == NO_FILES:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from error
        if code < 0:
            return Loss(f"the decoder died ({signal.Signals(-code).name})", blames_video=True)
        if since and time.monotonic() - since > self._timeout_seconds > 0:
            # It has ended itself: both were stopped, or it hung while nobody watched.
            return Loss(f"decoding took more than {self._timeout_seconds:g} s", blames_video=False)
        raise ChildProcessError(
            f"a loader process ended with exit code {code}; see its own message"
        ) from error

    def end(self) -> None:
        self.process.kill()
        self.process.join(END_SECONDS)
        self.connection.close()


def _serve(connection: Connection, dataset: VideoDataset, reading: Any, timeout_seconds: float) -> None:
    """A worker's life. It ends with its parent, even while a decoder hangs."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        # Schedulers signal all processes of a job, and the parent still needs its batch to stop in order.
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdout, sys.stderr = (
        sys.__stdout__,
        sys.__stderr__,
    )  # not a live bar's, whose lock may be held forever
    torch.set_num_threads(1)
    keep_freed_memory(at_most=MEMORY_KEPT)
    parent = os.getppid()

    @contextmanager
    def watch(index: int) -> Iterator[None]:
        if timeout_seconds:
            # The parent kills this process when it is time; this is for when there is no parent any more.
            faulthandler.dump_traceback_later(
                timeout_seconds + ORPHAN_GRACE_SECONDS, exit=True, file=STANDARD_ERROR
            )
        reading[0], reading[1] = index, time.monotonic()
        try:
            yield
        finally:
            reading[1] = 0
            faulthandler.cancel_dump_traceback_later()

    while True:
        while not connection.poll(POLL_SECONDS):
            if os.getppid() != parent:
                return
        try:
            ticket, keys, lost = connection.recv()
        except EOFError:
            return
        try:
            handover.send(connection, ticket, read_batch(dataset, keys, watch=watch, lost=lost))
        except (BrokenPipeError, ConnectionResetError):  # the parent is gone
            return
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            short = shortage(error)
            if isinstance(error, RuntimeError) and short is None:
                raise
            try:
                handover.send(connection, ticket, OSError(short) if short else error)
            except OSError as none_left:
                if not lacks_files(none_left):
                    raise
                sys.exit(NO_FILES)
