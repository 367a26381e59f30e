"""Memory that results of operators hold."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_bytes(network: Callable[[torch.Tensor], object], view: torch.Tensor) -> int:
    """Largest amount of memory that results of operators held at once during `network(view)`."""
    if view.is_cuda:
        torch.cuda.reset_peak_memory_stats(view.device)
        before = torch.cuda.memory_allocated(view.device)
        network(view)
        return torch.cuda.max_memory_allocated(view.device) - before
    with _LiveMemory() as memory:
        network(view)
    return memory.peak


class _LiveMemory(TorchDispatchMode):
    """Counts the bytes of storages from the operator that made them until they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        given = {
            leaf.untyped_storage()._cdata
            for leaf in tree_leaves((args, kwargs))
            if isinstance(leaf, torch.Tensor)
        }
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and leaf.untyped_storage()._cdata not in given:
                self._hold(leaf.untyped_storage())
        return result

    def _hold(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self.seen:
            return
        self.seen.add(storage._cdata)
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._release, storage._cdata, storage.nbytes())

    def _release(self, storage: int, nbytes: int) -> None:
        self.seen.discard(storage)
        self.live -= nbytes
