"""Training steps of the paper's networks beside pytorchvideo's in a plain loop: clips/s and peak memory.

    python scripts/bench_steps.py --device cuda --batch-size 8 32 --precision bfloat16 float32 --compiled
    python scripts/bench_steps.py captured --device cuda --batch-size 1 8

Sections:
    plain      every network launched from Python, and two where cuDNN chooses its kernels by trial; with
               --compiled two of them by torch.compile as well
    captured   the same step of every network as one CUDA graph, beside itself launched from Python

A step is forward, cross-entropy, backward and SGD with Nesterov momentum at 8 x 224 x 224. Networks of ours
are in channels last, as `gcvideo fit` has them; pytorchvideo's is as its users write it. All of a comparison
take turns, and a figure is the median over the rounds, with quartiles. Memory is the most that results hold.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from bench_network import NUM_CLASSES, Case, Step, Workload, memory, placed
from benchmark import add_save, benchmark_parser, captured, describe_machine, save, with_quartiles
from pytorchvideo.models.resnet import create_resnet
from rich.console import Console
from rich.table import Table
from sections import parse_sections
from torch import nn

from gcvideo.complexity.paper import PAPER_ROWS, paper_network
from gcvideo.complexity.turns import Spread, in_turns, spread, times_faster
from gcvideo.memory import keep_freed_memory

console = Console(width=140)
THEIRS, BARE, EVERYWHERE = "pytorchvideo's slow_r50, plain loop", "slow_r50", "slow_r50_gc_all"
ONE_GRAPH = ", one graph"
SECONDS_PER_TURN = 0.3
CLIPS_PER_SECOND, MEMORY = "clips/s", "MiB"
FASTER, OVER_BARE, OVER_LAUNCHED = "times as fast", "times as long as bare", "times as fast as launched"


class Way(NamedTuple):
    """How a step is run, and of which network."""

    case: Case
    run: Callable[[], object]


class ByTrial:
    """A step in which cuDNN tries its kernels on every new shape and keeps the fastest."""

    def __init__(self, step: Callable[[], object]) -> None:
        self.step = step

    def __call__(self) -> None:
        torch.backends.cudnn.benchmark = True
        try:
            self.step()
        finally:
            torch.backends.cudnn.benchmark = False


def main() -> None:
    arguments = parse_sections(_parser(), SECTIONS)
    console.print(describe_machine())
    if arguments.device == "cpu":
        keep_freed_memory()
    for section in arguments.sections:
        for precision in arguments.precision:
            for batch_size in arguments.batch_size:
                torch.manual_seed(0)
                torch.compiler.reset()  # shapes of before would make this one's sizes dynamic
                work = workload(arguments, batch_size)
                ways = SECTIONS[section](arguments, work, getattr(torch, precision))
                console.print(compare(f"{section}, {precision}, {batch_size} clips", ways, work, arguments))
                del ways
                if arguments.device != "cpu":
                    torch.cuda.empty_cache()


def workload(arguments: argparse.Namespace, batch_size: int) -> Workload:
    side = arguments.crop_size
    clips = torch.randn(batch_size, 3, arguments.num_frames, side, side, device=arguments.device)
    target = torch.randint(NUM_CLASSES, (batch_size,), device=arguments.device)
    return Workload(clips, target, arguments.rounds)


def compare(name: str, ways: Mapping[str, Way], work: Workload, arguments: argparse.Namespace) -> Table:
    """Return the table of a comparison, and save its figures."""
    seconds = in_turns(
        {way: found.run for way, found in ways.items()},
        rounds=work.rounds,
        seconds_per_turn=arguments.seconds_per_turn,
    )
    figures: dict[str, dict[str, Spread]] = {
        CLIPS_PER_SECOND: {
            way: spread([len(work.clips) / one for one in taken]) for way, taken in seconds.items()
        }
    }
    if THEIRS in ways:
        figures[FASTER] = {way: times_faster(seconds[THEIRS], taken) for way, taken in seconds.items()}
    graphs = {way: way.removesuffix(ONE_GRAPH) for way in ways if way.endswith(ONE_GRAPH)}
    if graphs:
        figures[OVER_LAUNCHED] = {
            way: times_faster(seconds[row], seconds[way]) for way, row in graphs.items()
        }
    else:
        rows = {way: taken for way, taken in seconds.items() if way in PAPER_ROWS}
        figures[OVER_BARE] = {way: times_faster(taken, seconds[BARE]) for way, taken in rows.items()}
        eager = {way: found for way, found in ways.items() if isinstance(found.run, Step)}
        held = {way: memory(found.case, work) / 2**20 for way, found in eager.items()}
        figures[MEMORY] = {way: Spread(size, size, size) for way, size in held.items()}
    for what, found in figures.items():
        save(arguments.save, f"{name}, {what}", found)

    table = Table("", *figures, title=name, title_justify="left")
    for way in ways:
        table.add_row(
            way, *(with_quartiles(found[way]) if way in found else "" for found in figures.values())
        )
    return table


def plain(arguments: argparse.Namespace, work: Workload, precision: torch.dtype) -> dict[str, Way]:
    """Return every network launched from Python."""
    theirs = Case(pytorchvideos_network(arguments), False, precision)
    ways = {THEIRS: launched(theirs, work)}
    for row in PAPER_ROWS:
        ways[row] = launched(Case(ours(row, arguments), True, precision), work)
    if arguments.compiled:
        for row in (BARE, EVERYWHERE):
            network = ours(row, arguments)
            network.compile(backend=arguments.compile_with)
            ways[f"{row}, compiled"] = launched(Case(network, True, precision), work)
    if arguments.device != "cpu":
        for name in (THEIRS, BARE):
            ways[f"{name}, kernels by trial"] = Way(ways[name].case, ByTrial(ways[name].run))
    return ways


def in_graphs(arguments: argparse.Namespace, work: Workload, precision: torch.dtype) -> dict[str, Way]:
    """Return every network launched from Python and as one graph."""
    ways = {}
    for row in PAPER_ROWS:
        way = launched(Case(ours(row, arguments), True, precision), work)
        ways |= {row: way, f"{row}{ONE_GRAPH}": Way(way.case, captured(way.run, work.clips.device))}
    return ways


def launched(case: Case, work: Workload) -> Way:
    return Way(case, Step(placed(case, work), work))


def ours(row: str, arguments: argparse.Namespace) -> nn.Module:
    return paper_network(row)(NUM_CLASSES, width=arguments.width)


def pytorchvideos_network(arguments: argparse.Namespace) -> nn.Module:
    """Return what pytorchvideo.models.hub.slow_r50 is, with a head for clips of this size."""
    settings: dict[str, Any] = {
        "stem_conv_kernel_size": (1, 7, 7),
        "head_pool_kernel_size": (arguments.num_frames, *(arguments.crop_size // 32,) * 2),
        "stem_dim_out": int(64 * arguments.width),
    }
    return create_resnet(model_depth=50, model_num_class=NUM_CLASSES, **settings)


SECTIONS: dict[str, Callable[[argparse.Namespace, Workload, torch.dtype], dict[str, Way]]] = {
    "plain": plain,
    "captured": in_graphs,
}


def _parser() -> argparse.ArgumentParser:
    parser = benchmark_parser(__doc__, rounds=5)
    add = partial(parser.add_argument)
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add("--batch-size", type=int, nargs="+", default=[1], help="clips at once (default: 1)")
    kinds = ["float32", "bfloat16"]
    add("--precision", nargs="+", default=["float32"], choices=kinds, help="(default: float32)")
    add("--compiled", action="store_true", help="compile two networks too, which takes a minute each")
    add("--compile-with", default="inductor", help="torch.compile's backend (default: inductor)")
    add("--seconds-per-turn", type=float, default=SECONDS_PER_TURN, help=f"(default: {SECONDS_PER_TURN})")
    add("--num-frames", type=int, default=8, help="(default: 8)")
    add("--crop-size", type=int, default=224, help="a multiple of 32 (default: 224)")
    add("--width", type=float, default=1.0, help="of all networks (default: 1)")
    add_save(parser)
    return parser


if __name__ == "__main__":
    main()
