"""Seconds of a call: by the clock on a processor, by CUDA's events on a GPU."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch

CACHES_CLEARED = 4
"""How many times its level-2 cache a GPU fills between calls, so that no call finds what another has left."""
LEAST_CACHE_BYTES = 2**26


class Timer(ABC):
    """Measures how long a call takes."""

    @abstractmethod
    def seconds(self, call: Callable[[], object], repeats: int) -> float:
        """Return the seconds of one call, the mean of `repeats`."""


class ClockTimer(Timer):
    """The clock of the machine, read when all kernels that a call has launched are done.

    torch's Timer is not used: it calls twice more each time it is asked.
    """

    def seconds(self, call: Callable[[], object], repeats: int) -> float:
        _wait_for_gpu()
        began = time.perf_counter()
        for _ in range(repeats):
            call()
        _wait_for_gpu()
        return (time.perf_counter() - began) / repeats


class EventTimer(Timer):
    """Events on the GPU itself, before and after each call, with its cache cleared before each.

    What clears the cache is not counted. Gaps between kernels are, where the processor launches them more
    slowly than they run.

    Args:
        device: The GPU.
        clear: Fills the GPU's cache with something else.
        cuda: What makes events and waits for the GPU: torch.cuda, or what stands for it in a test.
    """

    def __init__(self, device: torch.device, clear: Callable[[], object], *, cuda: Any = torch.cuda) -> None:
        self.device = device
        self.clear = clear
        self.cuda = cuda

    def seconds(self, call: Callable[[], object], repeats: int) -> float:
        events, stream = [], self.cuda.current_stream(self.device)
        for _ in range(repeats):
            began, ended = (self.cuda.Event(enable_timing=True) for _ in range(2))
            self.clear()
            began.record(stream)
            call()
            ended.record(stream)
            events.append((began, ended))
        self.cuda.synchronize(self.device)  # an event has a time once the GPU has come to it
        milliseconds = sum(began.elapsed_time(ended) for began, ended in events)
        return milliseconds / 1e3 / repeats


def timer_for(device: torch.device) -> Timer:
    """Return what measures calls that run on a device."""
    if device.type != "cuda":
        return ClockTimer()
    cache_bytes = getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0)
    size = CACHES_CLEARED * max(cache_bytes, LEAST_CACHE_BYTES)
    filled = torch.empty(size, dtype=torch.int8, device=device)
    return EventTimer(device, filled.zero_)


def _wait_for_gpu() -> None:
    """Wait for the kernels that were launched, where there are any."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
