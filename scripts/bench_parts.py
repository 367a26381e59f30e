"""What context blocks add to a training step, part by part: processor time, and features read and written.

    python scripts/bench_parts.py
    python scripts/bench_parts.py --network slow_r50_gc5 --num-frames 4 --crop-size 112

Times are processor time of one thread, which other programs leave as it is, of the network and of the bare
one in turns: medians over the rounds, and what the blocks add. Traffic is counted, not timed: the bytes of
what every operator of torch takes and returns, less those of the bare network, in units of the features that
the blocks work on. It holds on any machine; caches and fused kernels may save some of it.
"""

import argparse
import time
from collections import Counter
from itertools import pairwise
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from benchmark import benchmark_parser, describe_machine
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gcvideo.backbones.placement import placed_blocks
from gcvideo.complexity.paper import PAPER_ROWS, paper_network
from gcvideo.memory import keep_freed_memory

console = Console(width=100)
BARE = "slow_r50"
PARTS = ("forward", "backward", "optimizer")
LEAST_SHOWN = 0.05
"""Of the features, that an operator reads and writes."""


class Training:
    """A network whose steps are taken part by part."""

    def __init__(self, name: str, clip: Tensor) -> None:
        self.network = paper_network(name)(400).train().to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=1e-3, momentum=0.9, nesterov=True)
        self.clip, self.target = clip, torch.tensor([3])

    def loss(self) -> Tensor:
        """Return the cross-entropy of a forward pass."""
        return F.cross_entropy(self.network(self.clip), self.target)

    def step(self) -> list[float]:
        """Take a step, and return the seconds of each part."""
        marks = [time.thread_time()]
        loss = self.loss()
        marks.append(time.thread_time())
        loss.backward()
        marks.append(time.thread_time())
        self.optimizer.step()
        self.optimizer.zero_grad()
        marks.append(time.thread_time())
        return [end - start for start, end in pairwise(marks)]


class Traffic(TorchDispatchMode):
    """Adds up the bytes of what operators take and return, by their names; views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.num_bytes: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returned = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not (func.is_view or name.startswith(("empty", "detach", "_unsafe_view"))):
            tensors = [leaf for leaf in tree_leaves((args, kwargs, returned)) if isinstance(leaf, Tensor)]
            self.num_bytes[name] += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return returned


def main() -> None:
    """Print both tables."""
    arguments = _parser().parse_args()
    console.print(describe_machine())
    torch.set_num_threads(1)
    keep_freed_memory()
    torch.manual_seed(0)
    size = (1, 3, arguments.num_frames, arguments.crop_size, arguments.crop_size)
    clip = torch.randn(size).contiguous(memory_format=torch.channels_last_3d)
    bare, other = (Training(name, clip) for name in (BARE, arguments.network))
    console.print(times(bare, other, rounds=arguments.rounds, name=arguments.network))
    console.print(traffic(bare, other, name=arguments.network))


def times(bare: Training, other: Training, *, rounds: int, name: str) -> Table:
    """Return the processor time of each part; the two networks take turns."""
    for training in (bare, other):
        training.step()  # the first allocates
    steps = [(bare.step(), other.step()) for _ in track(range(rounds), "steps")]
    of_bare, of_other = (
        [median(part) for part in zip(*taken, strict=True)] for taken in zip(*steps, strict=True)
    )
    table = Table("part", f"{BARE}, ms", f"{name}, ms", "added, % of the bare step")
    rows = [*zip(PARTS, of_bare, of_other, strict=True), ("step", sum(of_bare), sum(of_other))]
    for part, before, after in rows:
        added = 100 * (after - before) / sum(of_bare)
        table.add_row(part, f"{1000 * before:.0f}", f"{1000 * after:.0f}", f"{added:.1f}")
    return table


def traffic(bare: Training, other: Training, *, name: str) -> Table:
    """Return what blocks read and write in a forward pass and in its backward pass, by operator."""
    feature_bytes = bytes_of_features(other)
    added = []  # of each operator, forwards and backwards, in units of the features
    for before, after in zip(traffic_of(bare), traffic_of(other), strict=True):
        after.subtract(before)
        added.append({operator: number / feature_bytes for operator, number in after.items()})
    forwards, backwards = added
    title = f"{name}: read and written, in units of {feature_bytes / 1e6:.0f} MB of features"
    table = Table("operator", "forward", "backward", title=title)
    for operator in sorted(forwards | backwards):
        both = forwards.get(operator, 0.0), backwards.get(operator, 0.0)
        if max(map(abs, both)) > LEAST_SHOWN:
            table.add_row(operator, *(f"{times:.2f}" for times in both))
    table.add_row("all", *(f"{sum(part.values()):.2f}" for part in added))
    return table


def traffic_of(training: Training) -> tuple[Counter[str], Counter[str]]:
    """Return the bytes of a forward pass and of its backward pass."""
    with Traffic() as forward:
        loss = training.loss()
    with Traffic() as backward:
        loss.backward()
    return forward.num_bytes, backward.num_bytes


def bytes_of_features(training: Training) -> int:
    """Return the bytes of what all context blocks are given."""
    given: list[int] = []
    hooks = [
        block.register_forward_pre_hook(lambda _, x: given.append(x[0].nbytes))
        for block in placed_blocks(training.network).values()
    ]
    with torch.no_grad():
        training.loss()
    for hook in hooks:
        hook.remove()
    return sum(given)


def _parser() -> argparse.ArgumentParser:
    parser = benchmark_parser(__doc__, rounds=9)
    with_blocks = [row for row in PAPER_ROWS if row != BARE]
    parser.add_argument(
        "--network", choices=with_blocks, default="slow_r50_gc_all", help="(default: slow_r50_gc_all)"
    )
    parser.add_argument("--num-frames", type=int, default=8, help="(default: 8)")
    parser.add_argument("--crop-size", type=int, default=224, help="(default: 224)")
    return parser


if __name__ == "__main__":
    main()
