"""The log: one line a fact, on the standard error of the moment.

While a bar is live, sys.stderr is the bar's: what is written to it appears above the bar and not through it.
So no handler may keep the stream that it was made with, neither ours nor Lightning's.
"""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

from gcvideo.printable import printable, printable_lines


class Printable(logging.Formatter):
    """Shows characters of names from files as text; Lightning's messages have lines that are not indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (of logging)
        is_ours = record.name.startswith("gcvideo")
        return (printable_lines if is_ours else printable)(super().formatMessage(record))


class StandardError(logging.StreamHandler):
    """Writes to what sys.stderr is when a line is logged."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(Printable("%(message)s"))

    @property
    def stream(self) -> Any:
        return sys.stderr


def log_to_stderr() -> None:
    """Let the package log to standard error: warnings, and in the first process of a run everything."""
    first = all(os.environ.get(rank, "0") == "0" for rank in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    package_log = logging.getLogger("gcvideo")
    package_log.handlers = [StandardError()]
    package_log.setLevel(logging.INFO if first else logging.WARNING)
    if not isinstance(threading.excepthook, ThreadErrors):
        threading.excepthook = ThreadErrors(threading.excepthook)


class ThreadErrors:
    """Says in a line what the system refused to a thread, as TensorBoard's; other errors go on as before."""

    def __init__(self, others: Callable[[threading.ExceptHookArgs], Any]) -> None:
        self.others = others

    def __call__(self, failed: threading.ExceptHookArgs) -> None:
        if isinstance(failed.exc_value, OSError):
            logging.getLogger("gcvideo").warning("%s", failed.exc_value)
        else:
            self.others(failed)


def lightning_likewise() -> None:
    """Replace the handlers and the form of warnings that Lightning made when it was imported, if it was."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        its_log = logging.getLogger(name)
        if its_log.handlers:
            its_log.handlers = [StandardError()]
            its_log.propagate = False
    warnings.formatwarning = _in_one_line


def _in_one_line(message: Warning | str, *origin: Any, **line: Any) -> str:
    """Return what is warned of, without the place in a dependency that found it."""
    return printable(" ".join(f"warning: {message}".split())) + "\n"
