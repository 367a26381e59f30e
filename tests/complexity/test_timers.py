"""How calls are timed and weighed on a GPU: on one of a few lines, which works once it is waited for."""

from collections.abc import Callable

import pytest
import torch

from gcvideo.cli.complexity import device_name
from gcvideo.complexity.memory import peak_allocated
from gcvideo.complexity.timers import ClockTimer, EventTimer, timer_for
from gcvideo.complexity.turns import in_turns

DEVICE = torch.device("cuda", 1)


class Gpu:
    """Queues what it is given, seconds of work and events, and does it when it is waited for."""

    def __init__(self) -> None:
        self.queue: list[Callable[[], None]] = []
        self.now = 0.0

    def work(self, seconds: float) -> None:
        def pass_by() -> None:
            self.now += seconds

        self.queue.append(pass_by)

    def synchronize(self, device: torch.device) -> None:
        assert device == DEVICE
        for job in self.queue:
            job()
        self.queue.clear()

    def current_stream(self, device: torch.device) -> str:
        return f"stream of {device}"

    def Event(self, *, enable_timing: bool) -> "Event":  # noqa: N802 (torch's name)
        assert enable_timing
        return Event(self)


class Event:
    time: float  # it has none before the GPU has come to it

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu

    def record(self, stream: str) -> None:
        assert stream == f"stream of {DEVICE}"
        self.gpu.queue.append(lambda: setattr(self, "time", self.gpu.now))

    def elapsed_time(self, other: "Event") -> float:
        return 1e3 * (other.time - self.time)


def test_events_measure_the_calls_on_the_gpu_and_not_what_clears_its_cache():
    gpu, cleared = Gpu(), []

    def clear() -> None:
        gpu.work(7.0)
        cleared.append(True)

    assert EventTimer(DEVICE, clear, cuda=gpu).seconds(lambda: gpu.work(0.25), 4) == pytest.approx(0.25)
    assert len(cleared) == 4
    assert gpu.now == pytest.approx(4 * 7.25)


def test_networks_take_turns_by_events_too():
    gpu = Gpu()
    calls = {"slow": lambda: gpu.work(0.2), "fast": lambda: gpu.work(0.1)}
    seconds = in_turns(calls, rounds=3, timer=EventTimer(DEVICE, lambda: gpu.work(1.0), cuda=gpu))
    assert seconds["slow"] == pytest.approx([0.2] * 3)
    assert seconds["fast"] == pytest.approx([0.1] * 3)


def test_a_cpu_is_timed_by_the_clock():
    assert isinstance(timer_for(torch.device("cpu")), ClockTimer)


class Card:
    """A GPU as timer_for asks for it."""

    L2_cache_size = 50 * 2**20
    name = "Card 9000"
    total_memory = 80 * 2**30


def test_a_gpu_is_timed_by_events_and_its_whole_cache_is_cleared(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Card)
    asked = []

    def empty(size: int, *, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        asked.append((size, dtype, device))
        return torch.ones(3, dtype=dtype)

    monkeypatch.setattr(torch, "empty", empty)
    timer = timer_for(DEVICE)
    assert isinstance(timer, EventTimer)
    ((size, dtype, device),) = asked
    assert size * dtype.itemsize >= 4 * Card.L2_cache_size
    assert device == DEVICE


def test_what_a_gpu_is_called_in_notes_names_the_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Card)
    assert device_name(torch.device("cuda")).startswith("Card 9000 of 80 GiB, CUDA ")
    assert device_name(torch.device("cpu")) == f"CPU, {torch.get_num_threads()} threads"


class Allocator:
    """The memory of a GPU: its own weights, and blocks that it keeps once they are freed."""

    def __init__(self) -> None:
        self.allocated, self.most, self.kept = 100, 900, 50
        self.queue: list[int] = []

    def synchronize(self, device: torch.device) -> None:
        for size in self.queue:
            self.most = max(self.most, self.allocated + size + self.kept)
        self.queue.clear()

    def empty_cache(self) -> None:
        self.kept = 0

    def reset_peak_memory_stats(self, device: torch.device) -> None:
        self.most = self.allocated

    def memory_allocated(self, device: torch.device) -> int:
        return self.allocated

    def max_memory_allocated(self, device: torch.device) -> int:
        return self.most


def test_the_peak_of_a_call_on_a_gpu_is_its_own():
    """Neither what was there before it, nor an earlier peak, nor what the allocator has kept."""
    cuda = Allocator()
    cuda.queue.append(5000)  # work of before, not done yet
    assert peak_allocated(lambda: cuda.queue.append(30), torch.device("cuda"), cuda=cuda) == 30
