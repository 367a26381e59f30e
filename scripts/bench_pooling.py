"""Attention pooling on a GPU: one kernel beside the form in torch, plain and compiled.

Every call has a map of its own, and the maps together are several times the GPU's cache. A round replays all
calls as one CUDA graph, which leaves out what launching from Python costs; the last two columns leave it in.
Moved: one read of x forwards, one more and the write of its gradient backwards; the bandwidth it is measured
against is that of copying the same maps in the same rounds. Errors are against the equation in float64.

    python scripts/bench_pooling.py [--rounds 9] [--only 512]
    TRITON_INTERPRET=1 python scripts/bench_pooling.py --device cpu --size 1 24 2 4 5 --mib 0.01

On a CPU only that it runs is of worth: Triton interprets the kernel.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import NamedTuple

import torch
from benchmark import add_save, benchmark_parser, captured, describe_machine, save, with_quartiles
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from gcvideo.blocks import pooling
from gcvideo.complexity.turns import Spread, in_turns, spread, times_faster
from gcvideo.kernels import fused_pooling

console = Console(width=190)

Pool = Callable[[Tensor, Tensor, Tensor], Tensor]

MIB_OF_ALL_MAPS = 256
SHAPES = [(B, *stage) for stage in ((512, 8, 28, 28), (1024, 8, 14, 14)) for B in (1, 4, 8)]
"""Maps of res3 and res4 of an R50 at 8 x 224 x 224."""
MAPS_MOVED = {"forward": 1, "forward + backward": 3}
SHARE = "share of a copy's bandwidth"
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
    require_kernel(torch.device(arguments.device))
    torch.manual_seed(0)
    console.print(describe_machine())
    columns = ("x", "type", "format", "pass", "one kernel", "of a copy's GB/s")
    ratios = ("x plain", "x compiled", "x plain, launched", "x compiled, launched")
    table = Table(*columns, *ratios)
    shapes = [tuple(arguments.size)] if arguments.size else SHAPES
    for kind in track(list(kinds(shapes, arguments.only)), console=Console(stderr=True)):
        for row in compare(make_case(*kind, arguments), arguments):
            table.add_row(*row)
    console.print(table)
    console.print("Times as fast as the form in torch: median over the rounds \\[quartiles].")


def require_kernel(device: torch.device) -> None:
    """End the script where the kernel does not run."""
    if device.type == "cpu":
        if os.environ.get("TRITON_INTERPRET") != "1":
            sys.exit("error: --device cpu takes TRITON_INTERPRET=1, and Triton, to interpret the kernel")
        return
    if not torch.cuda.is_available():
        sys.exit("error: pooling by one kernel was asked for, but there is no CUDA device; run this on a GPU")
    if not fused_pooling.runs_on(torch.device("cuda", torch.cuda.current_device())):
        sys.exit("error: the kernel does not run here; it takes Triton, an NVIDIA GPU from Ampere on and gcc")


def kinds(
    shapes: list[tuple[int, ...]], only: str
) -> Iterator[tuple[tuple[int, ...], torch.dtype, torch.memory_format]]:
    """Yield maps in every type and format."""
    formats = (torch.channels_last_3d, torch.contiguous_format)
    for shape, dtype, memory_format in product(shapes, TOLERANCE, formats):
        if only in str(shape):
            yield shape, dtype, memory_format


def make_case(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    memory_format: torch.memory_format,
    arguments: argparse.Namespace,
) -> Case:
    B, C, *_ = shape
    device = arguments.device
    first = torch.randn(shape, device=device, dtype=dtype)
    num_maps = -(-int(arguments.mib * 2**20) // first.nbytes)
    maps = [first] + [torch.randn_like(first) for _ in range(num_maps - 1)]
    return Case(
        shape,
        dtype,
        memory_format,
        [x.to(memory_format=memory_format).flatten(2).requires_grad_() for x in maps],
        (torch.randn(1, C, device=device, dtype=dtype) * C**-0.5).requires_grad_(),
        torch.zeros(1, device=device, dtype=dtype).requires_grad_(),
        torch.randn(B, C, device=device, dtype=dtype),
    )


def compare(case: Case, arguments: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """Yield a row of the table for each pass, and save its figures."""
    torch.compiler.reset()  # shapes of other cases would make this one's sizes dynamic
    pools: dict[str, Pool] = {
        "kernel": fused_pooling.attention_pool,
        "plain": pooling.attention_pool,
        "compiled": torch.compile(pooling.attention_pool, dynamic=False, backend=arguments.compile_with),
    }
    check(case, pools)
    name_of_case = "pooling, " + ", ".join(case.names)
    errors = errors_of(case, pools)
    save(arguments.save, f"{name_of_case}, error against float64", errors)
    turns = partial(in_turns, rounds=arguments.rounds, seconds_per_turn=0.05)
    target = torch.empty_like(case.maps[0])
    passes = {"forward": forward, "forward + backward": step}
    for name, run in passes.items():
        # All ways and a copy take turns, as graphs and launched from Python
        calls = {pool_name: over_all(case, run, pool) for pool_name, pool in pools.items()}
        copies = captured(lambda: [target.copy_(x.detach()) for x in case.maps], target.device)
        replays = {pool_name: captured(call, target.device) for pool_name, call in calls.items()}
        replayed = turns({**replays, "copy": copies})
        launched = turns(calls)

        # Bytes moved in a second, beside the copy's
        seconds = spread(replayed["kernel"]).median / len(case.maps)
        moved = MAPS_MOVED[name] / 2  # a copy moves each map twice
        of_copy = [
            moved * copy / ours for copy, ours in zip(replayed["copy"], replayed["kernel"], strict=True)
        ]
        share = spread(of_copy)
        plain = {pool: times_faster(replayed[pool], replayed["kernel"]) for pool in ("plain", "compiled")}
        save(arguments.save, f"{name_of_case}, {name}", {SHARE: share, **plain})
        gigabytes = MAPS_MOVED[name] * case.maps[0].nbytes / 1e9
        yield (
            *case.names,
            name,
            f"{1e6 * seconds:.1f} us, {gigabytes / seconds:.0f} GB/s",
            f"{share.median:.0%}",
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


def errors_of(case: Case, pools: dict[str, Pool]) -> dict[str, Spread]:
    """Return the largest error of context and gradients against float64, as a share of the largest value."""
    x, weight, bias, gradient = (
        t.detach().double() for t in (case.maps[0], case.weight, case.bias, case.gradient)
    )
    leaves = [x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()]
    logits = torch.einsum("bcp,c->bp", leaves[0], leaves[1][0]) + leaves[2]
    exact = torch.einsum("bcp,bp->bc", leaves[0], logits.softmax(dim=1))
    expected = exact, *torch.autograd.grad(exact, leaves[:2], gradient)
    errors = {}
    for name, pool in pools.items():
        found = step(pool, case.maps[0].detach().requires_grad_(), case)[:3]
        worst = max(
            ((one.double() - other).abs().max() / other.abs().max()).item()
            for one, other in zip(found, expected, strict=True)
        )
        errors[name] = Spread(worst, worst, worst)
    return errors


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
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the script (default: cuda)")
    parser.add_argument("--size", type=int, nargs=5, metavar="N", help="a map's B C T H W, in place of all")
    parser.add_argument("--mib", type=float, default=MIB_OF_ALL_MAPS, help="of all maps together")
    parser.add_argument(
        "--compile-with", default="inductor", help="torch.compile's backend (default: inductor)"
    )
    add_save(parser)
    return parser


if __name__ == "__main__":
    main()
