"""Which rank this is, and what all ranks know together."""

import os
import time
from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple, NoReturn, TypeVar

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor

from gcvideo.agreement import differences, digest_of_values

T = TypeVar("T")

SECONDS_TO_SPEAK = 5.0
"""That rank 0 has to say why all ranks end, and to end."""

RANKS = ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "JSM_NAMESPACE_RANK")
"""Where launchers other than torchrun say which process this is; on rank 0 all of them are 0."""


def is_rank_zero() -> bool:
    """Return whether this process is rank 0, as its launcher says before the processes have met."""
    names = ("RANK",) if "RANK" in os.environ else RANKS
    return all(int(os.environ.get(name, "0")) == 0 for name in names)


class LaunchedRank(NamedTuple):
    """A rank as its launcher tells it, before the ranks have met."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    """Which of the processes on its node."""
    master_address: str = ""
    """Where the ranks meet."""
    master_port: int = 0

    @classmethod
    def here(cls) -> "LaunchedRank":
        """Return this process's rank as torchrun or srun say; if neither started it, it is alone."""
        for environment in (TorchElasticEnvironment, SLURMEnvironment):
            if environment.detect():
                launched = environment()
                return cls(
                    launched.global_rank(),
                    launched.world_size(),
                    launched.local_rank(),
                    launched.main_address,
                    launched.main_port,
                )
        return cls()


def gather_rows(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return the rows of all ranks, on every rank; alone, the rows themselves."""
    return list(chain.from_iterable(of_every_rank(rows)))


def of_every_rank(value: T) -> list[T]:
    """Return the value of each rank, on every rank."""
    if not dist.is_initialized():
        return [value]
    values: list[T] = [value] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def require_agreement(values: Mapping[str, str]) -> None:
    """Compare named values between all ranks; only where they differ are more than digests exchanged.

    Raises:
        ValueError: They differ. Rank 0 names the ranks and values.
        ConnectionError: A rank has ended.
    """
    try:
        if len(set(of_every_rank(digest_of_values(values)))) == 1:
            return
        apart = differences(dict(enumerate(of_every_rank(dict(values)))))
    except RuntimeError as error:  # of torch, in words that differ between backends
        raise ConnectionError(
            "another rank ended, or does not answer, before the ranks were compared; see there"
        ) from error
    ranks_of: dict[str, list[str]] = {}
    for rank, said in apart.items():
        ranks_of.setdefault("; ".join(said), []).append(str(rank))
    named = "; ".join(f"rank {', '.join(ranks)}: {said}" for said, ranks in ranks_of.items() if said)
    end_all_ranks(f"ranks differ: {named}; start all of them with the same arguments, files and packages")


def end_all_ranks(reason: str) -> NoReturn:
    """End every rank for a reason that all of them know: rank 0 says it, and the others end after it.

    When one rank ends in error, its launcher kills the others, and could kill rank 0 before it has spoken.

    Raises:
        ValueError: On rank 0.
        SystemExit: On the others.
    """
    if dist.is_initialized() and dist.get_rank() > 0:
        parent, deadline = os.getppid(), time.monotonic() + SECONDS_TO_SPEAK
        while os.getppid() == parent and time.monotonic() < deadline:  # Lightning's launcher is rank 0
            time.sleep(0.1)
        raise SystemExit(1)
    raise ValueError(reason)


def any_process(*facts: bool | Tensor, device: torch.device) -> list[bool]:
    """Return which of the facts are true on any rank, by one all-reduce."""
    known = torch.stack([torch.as_tensor(fact, device=device).to(torch.uint8) for fact in facts])
    if dist.is_initialized():
        dist.all_reduce(known, dist.ReduceOp.MAX)
    return known.bool().tolist()


def totals(*counts: int, device: torch.device) -> list[int]:
    """Return the sum of each count over all ranks."""
    known = torch.tensor(counts, device=device)
    if dist.is_initialized():
        dist.all_reduce(known, dist.ReduceOp.SUM)
    return known.tolist()


def fewest(count: int, *, device: torch.device) -> int:
    """Return the smallest of the counts of all ranks."""
    known = torch.tensor(count, device=device)
    if dist.is_initialized():
        dist.all_reduce(known, dist.ReduceOp.MIN)
    return int(known)


def restarts_share_a_store() -> bool:
    """Return whether torchrun, which started this process, may start it again with the store of before.

    Processes tell each other their addresses there, under names that do not say of which start they are.
    """
    shares = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return shares and os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0"
