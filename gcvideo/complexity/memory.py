"""Memory that results of operators hold."""

import weakref
from collections.abc import Callable
from typing import Any

import torch

from gcvideo.private_names import TorchDispatchMode, storage_number, tree_leaves


def peak_bytes(network: Callable[[torch.Tensor], object], view: torch.Tensor) -> int:
    """Return the largest number of bytes that results of operators held at once during `network(view)`."""
    if view.is_cuda:
        torch.cuda.reset_peak_memory_stats(view.device)
        before = torch.cuda.memory_allocated(view.device)
        network(view)
        return torch.cuda.max_memory_allocated(view.device) - before
    with _LiveMemory() as memory:
        network(view)
    return memory.peak


class _LiveMemory(TorchDispatchMode):
    """The bytes of all storages, each counted from the operator that made it until it is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        given = {
            storage_number(leaf.untyped_storage())
            for leaf in tree_leaves((args, kwargs))
            if isinstance(leaf, torch.Tensor)
        }
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and storage_number(leaf.untyped_storage()) not in given:
                self._hold(leaf.untyped_storage())
        return result

    def _hold(self, storage: torch.UntypedStorage) -> None:
        if storage_number(storage) in self.seen:
            return
        self.seen.add(storage_number(storage))
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._release, storage_number(storage), storage.nbytes())

    def _release(self, storage: int, nbytes: int) -> None:
        self.seen.discard(storage)
        self.live -= nbytes
