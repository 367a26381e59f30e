"""What a network costs: parameters, multiply-adds, time and memory.

A FLOP is one fused multiply-add of a convolution or a matrix product, as the papers of the field count it.
Norms, softmax, pooling and element-wise operators are not counted; they are named beside the number.
"""

import time
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis, jit_handles
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ClipShape = tuple[int, int, int]


def _attention_flops(inputs: list[Any], outputs: list[Any]) -> int:
    """Two matrix products: queries with keys, weights with values."""
    query, key, value = (tensor.type().sizes() for tensor in inputs[:3])
    batch, (queries, width), positions = prod(query[:-2]), query[-2:], key[-2]
    return batch * queries * positions * (width + value[-1])


def _attention_pool_flops(inputs: list[Any], outputs: list[Any]) -> int:
    """Two matrix products: a key with positions, weights with positions."""
    return 2 * prod(inputs[0].type().sizes())


# Convolutions and matrix products: what the papers of the field count.
COUNTED = {
    "aten::_convolution": jit_handles.conv_flop_jit,
    "aten::linear": jit_handles.linear_flop_jit,
    "aten::addmm": jit_handles.addmm_flop_jit,
    "aten::matmul": jit_handles.matmul_flop_jit,
    "aten::mm": jit_handles.matmul_flop_jit,
    "aten::bmm": jit_handles.bmm_flop_jit,
    "aten::einsum": jit_handles.einsum_flop_jit,
    "aten::scaled_dot_product_attention": _attention_flops,
    "gcvideo::attention_pool": _attention_pool_flops,
}
MOVES_DATA_ONLY = ("aten::movedim", "aten::mT", "aten::unflatten", "aten::expand_as")


@dataclass(frozen=True)
class Complexity:
    """The cost of one network on clips of one shape.

    Attributes:
        parameters: Number of parameters.
        flops_per_view: Multiply-adds of one forward pass of one view.
        uncounted: Operators that flops_per_view leaves out, with how often each is called.
        clip: T, H and W of a view.
        forward_seconds: Median time of one forward pass of one view.
        peak_bytes: Largest amount of memory held by intermediate results during that pass.
    """

    parameters: int
    flops_per_view: int
    uncounted: Counter[str]
    clip: ClipShape
    forward_seconds: float
    peak_bytes: int


def measure(network: nn.Module, clip: ClipShape, *, repeats: int = 3) -> Complexity:
    """The cost of `network` in evaluation on one clip of T x H x W, on the device it is on."""
    network.eval()
    device = next(network.parameters()).device
    view = torch.zeros(1, 3, *clip, device=device)
    flops, uncounted = count_flops(network, view)
    with torch.inference_mode():
        peak = peak_bytes(network, view)
        seconds = sorted(_seconds(network, view) for _ in range(repeats))[repeats // 2]
    return Complexity(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        flops_per_view=flops,
        uncounted=uncounted,
        clip=clip,
        forward_seconds=seconds,
        peak_bytes=peak,
    )


def count_flops(network: nn.Module, view: torch.Tensor) -> tuple[int, Counter[str]]:
    """Multiply-adds of one forward pass, and the operators that are not among them."""
    analysis = FlopCountAnalysis(network, view).clear_op_handles()
    analysis.set_op_handle(**COUNTED, **dict.fromkeys(MOVES_DATA_ONLY))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with torch.no_grad():  # a function that has a gradient of its own would be one operator in the trace
        return int(analysis.total()), analysis.unsupported_ops()


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


def _seconds(network: nn.Module, view: torch.Tensor) -> float:
    start = time.perf_counter()
    network(view)
    if view.is_cuda:
        torch.cuda.synchronize(view.device)
    return time.perf_counter() - start
