"""Memory that the process frees is kept for its next tensors, where glibc would return it to the system."""

import ctypes
import os
import platform

from gcvideo.switches import is_on

SWITCH = "GCVIDEO_KEEP_MEMORY"
TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Parameters of mallopt(3)."""
SETTINGS = ("GLIBC_TUNABLES", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Variables of the environment by which a user sets the same (mallopt(3), "Environment variables")."""


def keep_freed_memory(*, at_most: int = -1) -> bool:
    """Keep the memory of tensors that are freed for those that follow.

    glibc returns a block of more than 32 MiB to the system at once, and the system clears every page of the
    next one: up to 40 % of a training step on four clips of 8 x 224 x 224, a quarter of reading the thirty
    views of a video. The process then grows to its peak and stays there. Nothing is set on other C libraries,
    nor over a user's own `SETTINGS`, nor where the environment has GCVIDEO_KEEP_MEMORY=0.

    Args:
        at_most: Bytes that are kept behind the last block in use; -1 for all.

    Returns:
        Whether it was set.

    Raises:
        ValueError: GCVIDEO_KEEP_MEMORY is neither 0 nor 1.
    """
    has_own_settings = any(setting in os.environ for setting in SETTINGS)
    if not is_on(SWITCH) or has_own_settings or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, at_most))
