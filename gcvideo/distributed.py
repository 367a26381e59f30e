"""What several processes know, put together."""

import os
from itertools import chain
from typing import NamedTuple

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor

RANKS = ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "JSM_NAMESPACE_RANK")
"""Where launchers other than torchrun say which process this is; on rank 0 all of them are 0."""


def is_rank_zero() -> bool:
    """Return whether this process is rank 0, as its launcher says before the processes have met."""
    names = ("RANK",) if "RANK" in os.environ else RANKS
    return all(int(os.environ.get(name, "0")) == 0 for name in names)


class LaunchedRank(NamedTuple):
    """Which process of how many this is."""

    rank: int = 0
    world_size: int = 1
    node_rank: int = 0
    master_address: str = ""
    """Where the processes meet."""
    master_port: int = 0

    @classmethod
    def here(cls) -> "LaunchedRank":
        """As torchrun or srun say; otherwise alone."""
        for environment in (TorchElasticEnvironment, SLURMEnvironment):
            if environment.detect():
                launched = environment()
                return cls(
                    launched.global_rank(),
                    launched.world_size(),
                    launched.node_rank(),
                    launched.main_address,
                    launched.main_port,
                )
        return cls()


def gather_rows(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """The rows of all processes, on every process; alone, the rows themselves."""
    if not dist.is_initialized():
        return rows
    parts: list[list[dict[str, object]]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(parts, rows)
    return list(chain.from_iterable(parts))


def any_process(*facts: bool | Tensor, device: torch.device) -> list[bool]:
    """Which of the facts are true in some process, by one all-reduce."""
    known = torch.stack([torch.as_tensor(fact, device=device).to(torch.uint8) for fact in facts])
    if dist.is_initialized():
        dist.all_reduce(known, dist.ReduceOp.MAX)
    return known.bool().tolist()


def totals(*counts: int, device: torch.device) -> list[int]:
    """Return the sum of each count over all processes."""
    known = torch.tensor(counts, device=device)
    if dist.is_initialized():
        dist.all_reduce(known, dist.ReduceOp.SUM)
    return known.tolist()


def fewest(count: int, *, device: torch.device) -> int:
    """The smallest of the counts of all processes."""
    known = torch.tensor(count, device=device)
    if dist.is_initialized():
        dist.all_reduce(known, dist.ReduceOp.MIN)
    return int(known)


def restarts_share_a_store() -> bool:
    """Whether torchrun, which started this process, may start it again with the store of before.

    Processes tell each other their addresses there, under names that do not say of which start they are.
    """
    shares = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return shares and os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0"
