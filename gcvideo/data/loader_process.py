"""One process that reads batches, as it is seen by the process that started it."""

import faulthandler
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any

import torch
from torch import multiprocessing

from gcvideo.data import handover
from gcvideo.data.dataset import SampleKey, VideoDataset
from gcvideo.data.fetching import fetch
from gcvideo.memory import keep_freed_memory

MEMORY_KEPT = 2**28
"""Bytes that a process keeps for the next clips: more than those of a video's thirty views."""
POLL_SECONDS = 1.0
ORPHAN_GRACE_SECONDS = 30.0
STANDARD_ERROR = 2


class LoaderProcess:
    """One process, and the batches it has been given."""

    def __init__(self, dataset: VideoDataset, timeout_seconds: float) -> None:
        context: BaseContext = multiprocessing.get_context()
        self.given: dict[int, list[SampleKey]] = {}
        self._reading = context.RawArray("d", 2)  # index of the video, since when; 0 is not reading
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

    @property
    def seconds_on_video(self) -> float:
        since = self._reading[1]
        return time.monotonic() - since if since else 0.0

    def death(self, error: EOFError | OSError) -> str:
        """How the process died whose connection gave `error`; raises where that is no decoder's doing."""
        self.process.join(POLL_SECONDS)
        code = self.process.exitcode
        if code is None:
            raise error
        if code >= 0:
            raise RuntimeError(
                f"a loader process ended with exit code {code}; see its own message"
            ) from error
        return f"the decoder died ({signal.Signals(-code).name})"

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _serve(connection: Connection, dataset: VideoDataset, reading: Any, timeout_seconds: float) -> None:
    """A worker's life. It ends with its parent, even while a decoder hangs."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        # Schedulers signal all processes of a job, and the parent still needs its batch to stop in order.
        signal.signal(ignored, signal.SIG_IGN)
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
            handover.send(connection, ticket, fetch(dataset, keys, watch=watch, lost=lost))
        except (BrokenPipeError, ConnectionResetError):  # the parent is gone
            return
        except (ValueError, OSError) as error:
            handover.send(connection, ticket, error)
