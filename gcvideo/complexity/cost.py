"""What networks cost: parameters, multiply-adds, memory, and time in turns."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from gcvideo.complexity.flops import count_flops
from gcvideo.complexity.memory import peak_bytes
from gcvideo.complexity.timers import timer_for
from gcvideo.complexity.turns import Spread, in_turns, spread, times_faster

ClipShape = tuple[int, int, int]
ROUNDS = 5


class Subject(NamedTuple):
    """A network, on the device where it is measured, and T, H and W of a view."""

    network: nn.Module
    clip: ClipShape


@dataclass(frozen=True)
class Size:
    """What one network holds and computes, on one view of one shape.

    Attributes:
        clip: T, H and W of the view.
        parameters: Number of parameters.
        flops_per_view: Multiply-adds of one forward pass.
        uncounted: Operators that flops_per_view leaves out, with how often each is called.
        inference_bytes: Largest amount of memory held by intermediate results of a forward pass.
        training_bytes: The same of a training step (forward, cross-entropy, backward), with the gradients.
    """

    clip: ClipShape
    parameters: int
    flops_per_view: int
    uncounted: Counter[str]
    inference_bytes: int
    training_bytes: int


@dataclass(frozen=True)
class Complexity:
    """The cost of one network.

    Attributes:
        size: What does not depend on the machine.
        forward_seconds: Of one forward pass of one view, a figure for each round of `measure_complexity`.
    """

    size: Size
    forward_seconds: tuple[float, ...]

    def forward(self) -> Spread:
        """Return the time of one forward pass in seconds, over the rounds."""
        return spread(self.forward_seconds)

    def times_as_long(self, other: "Complexity") -> Spread:
        """Return the ratio of the time to that of another in the same round, over the rounds."""
        return times_faster(self.forward_seconds, other.forward_seconds)


Track = Callable[[Sequence[Any], str], Iterable[Any]]
"""Yields the steps of what is described, and may show how far it is: rich.progress.track."""


def untracked(steps: Sequence[Any], description: str) -> Iterable[Any]:
    """Yield the steps and show nothing."""
    return steps


def measure_complexity(
    subjects: Mapping[str, Subject], *, rounds: int = ROUNDS, track: Track = untracked
) -> dict[str, Complexity]:
    """Return the cost of each network in evaluation, on one view of its own.

    Forward passes are timed in turns, so that a machine that slows down or warms up does so for all
    networks; by CUDA's events, with cleared caches, if they are on a GPU. All are on one device.
    """
    sizes = {name: size_of(subjects[name]) for name in track(list(subjects), "count and weigh")}
    calls = {name: partial(subject.network, _view(subject)) for name, subject in subjects.items()}
    timer = timer_for(_device_of(next(iter(subjects.values())).network))
    with torch.inference_mode():
        seconds = in_turns(
            calls, rounds=rounds, track=lambda steps: track(steps, "time in turns"), timer=timer
        )
    return {name: Complexity(size, tuple(seconds[name])) for name, size in sizes.items()}


def size_of(subject: Subject) -> Size:
    """Return what a network holds and computes, and leave it in evaluation and without gradients.

    Batch norms stay in evaluation in the training step too, since a small view has too few values to train
    them; the memory is the same but for two numbers a channel.
    """
    network, view = subject.network.eval(), _view(subject)
    flops, uncounted = count_flops(network, view)
    if view.is_cuda:  # what libraries allocate in their first call and keep is no result of it
        _train(network, view)
        network.zero_grad(set_to_none=True)
    with torch.inference_mode():
        inference = peak_bytes(network, view)
    training = peak_bytes(partial(_train, network), view)
    network.zero_grad(set_to_none=True)
    return Size(
        clip=subject.clip,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        flops_per_view=flops,
        uncounted=uncounted,
        inference_bytes=inference,
        training_bytes=training,
    )


def _device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _view(subject: Subject) -> torch.Tensor:
    """Return a view of zeros in the memory format that DeviceTransform gives to all clips."""
    view = torch.zeros(1, 3, *subject.clip, device=_device_of(subject.network))
    return view.contiguous(memory_format=torch.channels_last_3d)


def _train(network: nn.Module, view: torch.Tensor) -> None:
    """Do one forward and one backward pass."""
    logits = network(view)
    F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=view.device)).backward()
