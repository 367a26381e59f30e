"""Attention pooling on a GPU: one kernel beside the form in torch, plain and compiled.

Every call has a map of its own, and the maps together are several times the GPU's cache. A round replays all
calls as one CUDA graph, which leaves out what launching from Python costs; the last two columns leave it in.
Moved: one read of x forwards, one more and the write of its gradient backwards; the bandwidth it is measured
against is that of copying the same maps in the same rounds.

    python scripts/bench_pooling.py [--rounds 9] [--only 512]
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

import torch
from benchmark import benchmark_parser, describe_machine, with_quartiles
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from gcvideo.blocks import pooling
from gcvideo.complexity.turns import in_turns, spread, times_faster
from gcvideo.kernels import fused_pooling

console = Console(width=190)

Pool = Callable[[Tensor, Tensor, Tensor], Tensor]

BYTES_OF_ALL_MAPS = 2**28
MAPS_MOVED = {"forward": 1, "forward + backward": 3}
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2}
"""Relative to the largest value; products that round to bfloat16 are among the compared."""


class Case(NamedTuple):
    """Maps [B C T H W], each flattened as a block does, with the parameters of their pooling."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    memory_format: torch.memory_format
    maps: list[Tensor]
    weight: Tensor
    bias: Tensor
    gradient: Tensor

    @property
    def names(self) -> tuple[str, str, str]:
        last = self.memory_format == torch.channels_last_3d
        shape = " x ".join(map(str, self.shape))
        return shape, str(self.dtype).removeprefix("torch."), "channels last" if last else "contiguous"


def main() -> None:
    arguments = _parser().parse_args()
    if not torch.cuda.is_available():
        sys.exit("error: pooling by one kernel was asked for, but there is no CUDA device; run this on a GPU")
    if not fused_pooling.runs_on(torch.device("cuda", torch.cuda.current_device())):
        sys.exit("error: the kernel does not run here; it takes Triton, an NVIDIA GPU from Ampere on and gcc")
    torch.manual_seed(0)
    console.print(describe_machine())
    columns = ("x", "type", "format", "pass", "one kernel", "of a copy's GB/s")
    ratios = ("x plain", "x compiled", "x plain, launched", "x compiled, launched")
    table = Table(*columns, *ratios)
    for shape, dtype, memory_format in track(list(kinds(arguments.only)), console=Console(stderr=True)):
        for row in compare(make_case(shape, dtype, memory_format), rounds=arguments.rounds):
            table.add_row(*row)
    console.print(table)
    console.print("Times as fast as the form in torch: median over the rounds \\[quartiles].")


def kinds(only: str) -> Iterator[tuple[tuple[int, ...], torch.dtype, torch.memory_format]]:
    """Yield maps of res3 and res4 of an R50 at 8 x 224 x 224, in every type and format."""
    shapes = [(B, *stage) for stage in ((512, 8, 28, 28), (1024, 8, 14, 14)) for B in (1, 4, 8)]
    formats = (torch.channels_last_3d, torch.contiguous_format)
    for shape, dtype, memory_format in product(shapes, TOLERANCE, formats):
        if only in str(shape):
            yield shape, dtype, memory_format


def make_case(shape: tuple[int, ...], dtype: torch.dtype, memory_format: torch.memory_format) -> Case:
    B, C, *_ = shape
    first = torch.randn(shape, device="cuda", dtype=dtype)
    num_maps = -(-BYTES_OF_ALL_MAPS // first.nbytes)
    maps = [first] + [torch.randn_like(first) for _ in range(num_maps - 1)]
    return Case(
        shape,
        dtype,
        memory_format,
        [x.to(memory_format=memory_format).flatten(2).requires_grad_() for x in maps],
        (torch.randn(1, C, device="cuda", dtype=dtype) * C**-0.5).requires_grad_(),
        torch.zeros(1, device="cuda", dtype=dtype).requires_grad_(),
        torch.randn(B, C, device="cuda", dtype=dtype),
    )


def compare(case: Case, *, rounds: int) -> Iterator[tuple[str, ...]]:
    """Yield a row of the table for each pass."""
    torch.compiler.reset()  # shapes of other cases would make this one's sizes dynamic
    pools: dict[str, Pool] = {
        "kernel": fused_pooling.attention_pool,
        "plain": pooling.attention_pool,
        "compiled": torch.compile(pooling.attention_pool, dynamic=False),
    }
    check(case, pools)
    target = torch.empty_like(case.maps[0])
    passes = {"forward": forward, "forward + backward": step}
    for name, run in passes.items():
        # All ways and a copy take turns, as graphs and launched from Python
        calls = {pool_name: over_all(case, run, pool) for pool_name, pool in pools.items()}
        copies = captured(lambda: [target.copy_(x.detach()) for x in case.maps])
        replays = {pool_name: captured(call) for pool_name, call in calls.items()}
        replayed = in_turns({**replays, "copy": copies}, rounds=rounds, seconds_per_turn=0.05)
        launched = in_turns(calls, rounds=rounds, seconds_per_turn=0.05)

        # Bytes moved in a second, beside the copy's
        seconds = spread(replayed["kernel"]).median / len(case.maps)
        of_copy = spread(replayed["copy"]).median / spread(replayed["kernel"]).median
        share = MAPS_MOVED[name] / 2 * of_copy  # a copy moves each map twice
        gigabytes = MAPS_MOVED[name] * case.maps[0].nbytes / 1e9
        yield (
            *case.names,
            name,
            f"{1e6 * seconds:.1f} us, {gigabytes / seconds:.0f} GB/s",
            f"{share:.0%}",
            *(
                ratio(times[other], times["kernel"])
                for times in (replayed, launched)
                for other in ("plain", "compiled")
            ),
        )


def forward(pool: Pool, x: Tensor, case: Case) -> None:
    with torch.no_grad():
        pool(x, case.weight, case.bias)


def step(pool: Pool, x: Tensor, case: Case) -> tuple[Tensor, ...]:
    leaves = (x, case.weight, case.bias)
    context = pool(*leaves)
    return context, *torch.autograd.grad(context, leaves, case.gradient)


def over_all(case: Case, run: Callable[[Pool, Tensor, Case], object], pool: Pool) -> Callable[[], None]:
    def call() -> None:
        for x in case.maps:
            run(pool, x, case)

    return call


def captured(call: Callable[[], object]) -> Callable[[], None]:
    """Return the same work as one CUDA graph, captured after calls that compile and allocate."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def check(case: Case, pools: dict[str, Pool]) -> None:
    """Raise AssertionError unless all compute the same; the bias has no gradient but rounding."""
    expected = step(pools["plain"], case.maps[0].detach().requires_grad_(), case)[:3]
    for name, pool in pools.items():
        found = step(pool, case.maps[0].detach().requires_grad_(), case)[:3]
        for ours, theirs in zip(found, expected, strict=True):
            difference = (ours - theirs).abs().max() / theirs.abs().max()
            assert difference <= TOLERANCE[case.dtype], f"{case.names}: {name} differs by {difference:.2g}"


def ratio(theirs: list[float], ours: list[float]) -> str:
    return with_quartiles(times_faster(theirs, ours))


def _parser() -> argparse.ArgumentParser:
    parser = benchmark_parser(__doc__, rounds=9)
    parser.add_argument("--only", default="", help="only maps in whose shape this occurs")
    return parser


if __name__ == "__main__":
    main()
