"""Memory that results of operators hold."""

import weakref
from collections.abc import Callable
from typing import Any

import torch

from gcvideo.private_names import TorchDispatchMode, storage_number, tree_leaves


def peak_bytes(network: Callable[[torch.Tensor], object], view: torch.Tensor) -> int:
    """Return the largest number of bytes that results of operators held at once during `network(view)`.

    On a GPU it is what the allocator has handed out, with the scratch space of kernels, and what libraries
    allocate in the first such call and keep: do one before.
    """
    if view.is_cuda:
        return peak_allocated(lambda: network(view), view.device)
    with _LiveMemory() as memory:
        network(view)
    return memory.peak


def peak_allocated(call: Callable[[], object], device: torch.device, *, cuda: Any = torch.cuda) -> int:
    """Return the most bytes that the allocator of a GPU handed out during a call, above those before it.

    Blocks that it keeps for later are given back first, since one that is larger than a result counts whole.

    Args:
        call: What is measured.
        device: The GPU.
        cuda: torch.cuda, or what stands for it in a test.
    """
    cuda.synchronize(device)
    cuda.empty_cache()
    cuda.reset_peak_memory_stats(device)
    before = cuda.memory_allocated(device)
    call()
    cuda.synchronize(device)
    return cuda.max_memory_allocated(device) - before


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
