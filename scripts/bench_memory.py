"""Freed memory kept for the next feature maps beside memory returned to the system, on a CPU.

    python scripts/bench_memory.py
    python scripts/bench_memory.py --batch-size 1 4 8 --rounds 9

`gcvideo` keeps it where a network runs on the CPU (gcvideo/memory.py); a process that does and one that
does not take turns with the same network on the same clips. A figure is the median over the rounds of the
ratio within one round, with quartiles; memory is the most that a process has held.
"""

import argparse
import resource
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from bench_network import Case, Step, Workload, as_long, forward, placed
from benchmark import add_save, benchmark_parser, describe_machine, save
from rich.console import Console
from rich.table import Table

from gcvideo.complexity.paper import PAPER_ROWS, paper_network
from gcvideo.complexity.turns import in_turns, times_faster
from gcvideo.memory import keep_freed_memory

console = Console(width=140)
NUM_CLASSES = 400
SECONDS_PER_TURN = 30
"""Long, since the first calls after a turn of the other process are slower than the rest."""


class Child:
    """A process with a network and clips of its own."""

    step: Step

    def __init__(self, *, keeps: bool, row: str, batch_size: int) -> None:
        self.pool = ProcessPoolExecutor(
            max_workers=1,
            mp_context=get_context("spawn"),
            initializer=prepare,
            initargs=(keeps, row, batch_size, torch.get_num_threads()),
        )

    def train(self) -> None:
        self.pool.submit(train).result()

    def infer(self) -> None:
        self.pool.submit(infer).result()

    def peak(self) -> int:
        """Return the most bytes that the process has held."""
        return self.pool.submit(peak).result()


def prepare(keeps: bool, row: str, batch_size: int, num_threads: int) -> None:
    if keeps and not keep_freed_memory():
        raise RuntimeError("freed memory is not kept here: this needs glibc and none of its variables set")
    torch.set_num_threads(num_threads)
    torch.manual_seed(0)
    clips = torch.randn(batch_size, 3, 8, 224, 224)
    work = Workload(clips, torch.randint(NUM_CLASSES, (batch_size,)), rounds=0)
    Child.step = Step(placed(Case(paper_network(row)(NUM_CLASSES)), work), work)


def train() -> None:
    Child.step()


def infer() -> None:
    forward(Child.step.case, Child.step.work)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    arguments = _parser().parse_args()
    console.print(describe_machine())
    for row in arguments.networks:
        for batch_size in arguments.batch_size:
            console.print(compare(row, batch_size, rounds=arguments.rounds, file=arguments.save))


def compare(row: str, batch_size: int, *, rounds: int, file: Path | None) -> Table:
    child = partial(Child, row=row, batch_size=batch_size)
    children = {"returned": child(keeps=False), "kept": child(keeps=True)}
    table = Table(
        "freed memory is", "forward", "training step", "peak of the process", title_justify="left",
        title=f"{row}, {batch_size} x 3 x 8 x 224 x 224, float32",
    )  # fmt: skip
    turns = partial(in_turns, rounds=rounds, seconds_per_turn=SECONDS_PER_TURN)
    forwards = turns({name: c.infer for name, c in children.items()})
    steps = turns({name: c.train for name, c in children.items()})
    for run, seconds in {"forward": forwards, "training step": steps}.items():
        ratios = {name: times_faster(taken, seconds["returned"]) for name, taken in seconds.items()}
        save(file, f"memory, {row}, {batch_size} clips, {run}", ratios)
    for name, c in children.items():
        table.add_row(
            name,
            as_long(forwards[name], forwards["returned"]),
            as_long(steps[name], steps["returned"]),
            f"{c.peak() / 2**20:.0f} MiB",
        )
        c.pool.shutdown()
    return table


def _parser() -> argparse.ArgumentParser:
    parser = benchmark_parser(__doc__, rounds=3)
    parser.add_argument(
        "--networks",
        nargs="+",
        choices=list(PAPER_ROWS),
        default=["slow_r50"],
        help="rows of the paper's table (default: slow_r50)",
    )
    parser.add_argument("--batch-size", type=int, nargs="+", default=[4], help="(default: 4)")
    add_save(parser)
    return parser


if __name__ == "__main__":
    main()
