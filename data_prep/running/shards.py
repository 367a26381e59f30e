"""The share of a step that one process of a job array does."""

import argparse
import os
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")


class Shard(NamedTuple):
    """Shard `number` of `num_shards`; Shard(0, 1) is everything."""

    number: int = 0
    num_shards: int = 1

    @property
    def suffix(self) -> str:
        """Return what the names of a shard's lists have before their ending: nothing, if it is all."""
        return "" if self.num_shards == 1 else f".{self.number}-of-{self.num_shards}"

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Return every num_shards-th item from the number-th on: neighbours, which cost alike, are spread."""
        return list(items[self.number :: self.num_shards])


def add_run_options(parser: argparse.ArgumentParser, *, num_workers: int, workers_do: str) -> None:
    """Add the options that every step has: --workers, --shard, --num-shards, --dry-run."""
    group = parser.add_argument_group("how to run")
    group.add_argument(
        "--workers",
        type=int,
        default=num_workers,
        metavar="N",
        help=f"{workers_do} (default: %(default)s)",
    )
    group.add_argument("--shard", type=int, default=0, metavar="I", help="do shard I, from 0 (default: 0)")
    group.add_argument(
        "--num-shards",
        type=int,
        default=1,
        metavar="N",
        help="of N shards, as in a job array; when all are done, run once more without --shard and "
        "--num-shards: it redoes nothing and writes the lists of the whole (default: 1)",
    )
    group.add_argument("--dry-run", action="store_true", help="say what would be done and write nothing")


def allowed_processors() -> int:
    """Return how many processors this process may use: in a job fewer than the machine may have."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shard_of(arguments: argparse.Namespace) -> Shard:
    """Return the shard that parsed run options name.

    Raises:
        ValueError: --workers or --num-shards is below 1, or --shard is not in 0..num_shards-1.
    """
    if arguments.workers < 1:
        raise ValueError(f"--workers {arguments.workers} is out of range; expected at least 1")
    if arguments.num_shards < 1:
        raise ValueError(f"--num-shards {arguments.num_shards} is out of range; expected at least 1")
    if not 0 <= arguments.shard < arguments.num_shards:
        raise ValueError(f"--shard {arguments.shard} is out of range; expected 0..{arguments.num_shards - 1}")
    return Shard(arguments.shard, arguments.num_shards)
