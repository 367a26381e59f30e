"""What a machine has too little of, as errors say it: open files and memory."""

import errno
import re
import resource

NO_MEMORY = re.compile("out of memory|allocate memory", re.IGNORECASE)
AMOUNT = re.compile(r"tried to allocate ([\d.]+ \w+)", re.IGNORECASE)


def lacks_files(error: BaseException | None) -> bool:
    """Return whether an error says that no more files may be opened."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


def lacks_memory(error: BaseException | None) -> bool:
    """Return whether an error says that there is no memory; torch says so in words alone."""
    said_by_torch = isinstance(error, RuntimeError) and NO_MEMORY.search(str(error)) is not None
    return isinstance(error, MemoryError) or said_by_torch


def shortage(error: BaseException | None) -> str | None:
    """Return what is short, and what would do; None where the error says nothing of it."""
    if lacks_files(error):
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return f"too many open files: the limit is {limit} (ulimit -n); raise it, or lower data.num_workers"
    if lacks_memory(error):
        kind = "GPU memory" if "CUDA" in str(error) else "memory"
        amount = AMOUNT.search(str(error))
        wanted = f": tried to allocate {amount[1]}" if amount else ""
        return f"{kind} is short{wanted}; lower data.batch_size, data.test_views or data.num_workers"
    return None
