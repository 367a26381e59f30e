"""Keep a run's folder to one training at a time."""

import errno
import fcntl
import json
import logging
import os
import platform
import time
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer

from gcvideo.run_folder import RunFolder

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 0.2
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
HELD = (errno.EACCES, errno.EAGAIN)


class Owner(NamedTuple):
    """The process that trains in a run's folder."""

    host: str
    process: int
    since: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} has been training there since {self.since}"


class RunLock:
    """The right to write into a run's folder, which one process has at a time.

    It is a POSIX record lock on a file in the folder: it ends with the process that took it, however that
    ends, and no process forked from it has it. An NFS server keeps such locks for all its machines, and frees
    those of a machine that is gone when its lease is over. If a file system has none, a warning says so.

    Args:
        run: The folder, which is made if it is not there.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self._descriptor: int | None = None

    def take(self, *, wait_seconds: float) -> None:
        """Take the lock and delete what killed runs left half written in the folder of checkpoints.

        Raises:
            ValueError: Another process has the lock, and still has after so many seconds; or it is no folder.
        """
        if self.run.path.exists() and not self.run.path.is_dir():
            raise ValueError(f"{self.run.path} is no folder; choose another run_dir")
        deadline = time.monotonic() + wait_seconds
        said = False
        while (owner := self._try()) is not None:
            if time.monotonic() >= deadline:
                raise ValueError(
                    f"{self.run.path} is in use: {owner}; wait until it ends, or choose another run_dir"
                )
            if not said:
                log.warning("waiting up to %g s for %s: %s", wait_seconds, self.run.path, owner)
                said = True
            time.sleep(LOOK_AGAIN_SECONDS)
        for file in self.run.unfinished_checkpoints():
            file.unlink(missing_ok=True)

    def release(self) -> None:
        """Let others train there; delete a folder in which nothing was written."""
        if self._descriptor is None:
            return
        if self.is_in_place() and [*self.run.path.iterdir()] == [self.run.lock]:
            with suppress(OSError):  # which another process has just begun to use
                self.run.lock.unlink()
                self.run.path.rmdir()
        os.close(self._descriptor)
        self._descriptor = None

    def is_in_place(self) -> bool:
        """Return whether the folder is that in which the lock was taken: not deleted, not moved away."""
        assert self._descriptor is not None
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.run.lock.stat())
        except OSError as error:  # a disk that does not answer takes no folder away
            return error.errno not in GONE

    def require_in_place(self) -> None:
        """Raise ValueError if the folder is not in its place any more."""
        if not self.is_in_place():
            raise ValueError(
                f"{self.run.lock} is gone: its folder was deleted or moved away while the run wrote there; "
                "put it back and go on with --resume auto, or start anew"
            )

    def _try(self) -> Owner | str | None:
        """Take the lock, or return who has it."""
        # Ask the system for the lock.
        self.run.path.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self.run.lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in NO_LOCKS:
                log.warning(
                    "%s cannot be locked (%s): do not train there twice", self.run.path, error.strerror
                )
                return None
            owner = self._owner()
            os.close(self._descriptor)
            self._descriptor = None
            if error.errno not in HELD:
                raise
            return owner
        if not self.is_in_place():  # its last owner has deleted it meanwhile
            os.close(self._descriptor)
            return self._try()
        # Say who has it.
        me = Owner(platform.node(), os.getpid(), datetime.now().astimezone().isoformat(" ", "seconds"))
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(me._asdict()).encode(), 0)
        with suppress(OSError):  # other machines then read it a little later
            os.fsync(self._descriptor)
        return None

    def _owner(self) -> Owner | str:
        assert self._descriptor is not None
        try:
            return Owner(**json.loads(os.pread(self._descriptor, 4096, 0)))
        except (ValueError, TypeError):  # it writes its name just now
            return "another process trains there"


class FolderStays(Callback):
    """End a training whose folder is deleted or moved away, rather than begin another of that name."""

    def __init__(self, lock: RunLock) -> None:
        self.lock = lock

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.lock.require_in_place()
