"""Attention pooling on a GPU: y = sum_j softmax_j(w x_j + b) x_j, with one read of x.

As products of `pooling` it reads x twice forwards and twice backwards, and reading is what takes time. The
kernels read x once each way.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gcvideo.blocks import pooling
from gcvideo.switches import is_on

log = logging.getLogger(__name__)

TILE_BYTES = 2**15
"""Of one tile as sums see it: registers hold no more on the way back, and less loads too little at once."""
MAX_OFFSET = 2**31 - 1
"""Of an element from the first of its clip, with which 32 bits do."""
LAUNCH: dict[str, Any] = {"num_warps": 8, "enable_fp_fusion": True}
"""Multiply-adds are fused whatever the default of this version of Triton is."""
PROGRAMS_PER_PROCESSOR = 4
MAX_PARTS = 512
JOINED_CHANNELS = 16
"""Parts and channels that one program joins, as one tile."""


def attention_pool(
    x: Float[Tensor, "B C P"], weight: Float[Tensor, "1 C"], bias: Float[Tensor, "1"]
) -> Float[Tensor, "B C"]:
    """y = sum_j softmax_j(<w, x_j> + b) x_j, of x of any strides, in the element type of x.

    `weight` and `bias` may be of another type, as under autocast, and are not rounded to that of x: logits
    and sums are float32, or float64 if x is. Gradients are of first order; results repeat to the bit.
    """
    context, _ = _pool(x, weight, bias)
    return context.to(x.dtype)


@torch.compiler.assume_constant_result
def runs_on(device: torch.device) -> bool:
    """Return whether the kernels run here: on an NVIDIA GPU from Ampere on, unless GCVIDEO_FUSED is 0.

    That they start and compute what torch does is tried once; if not, the reason is logged. Raises ValueError
    for a value of GCVIDEO_FUSED other than 0 and 1.
    """
    return device.type == "cuda" and is_on("GCVIDEO_FUSED") and _start_on(device)


@cache
def _start_on(device: torch.device) -> bool:
    is_nvidia = torch.version.hip is None
    if find_spec("triton") is None or not is_nvidia or torch.cuda.get_device_capability(device) < (8, 0):
        return False
    with ThreadPoolExecutor(max_workers=1) as own_thread:  # no tracer or mode of this one sees the trial
        error = own_thread.submit(_try_on, device).exception()
    if error is not None:  # Triton also needs a C compiler and the headers of Python
        log.warning("attention pooling on %s is not fused: %s: %s", device, type(error).__name__, error)
    return error is None


def _try_on(device: torch.device) -> None:
    """Run the kernels once, and compare them with torch.

    Raises what Triton does if they do not start, and RuntimeError if they compute something else.
    """
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 24, 300), (1, 24), (1,), (2, 24))
    x, weight, bias, gradient = (torch.randn(shape, generator=generator).to(device) for shape in shapes)
    context, log_sum = _pool(x, weight, bias)
    found = (context, *_pool_backward(gradient, x, weight, bias, context, log_sum))
    leaves = [given.double().requires_grad_() for given in (x, weight, bias)]
    unfused = pooling.attention_pool(*leaves)
    expected = (unfused, *torch.autograd.grad(unfused, leaves, gradient.double()))
    pairs = zip(found, expected, strict=True)
    if not all(torch.allclose(fused.double(), exact, rtol=1e-3, atol=1e-3) for fused, exact in pairs):
        raise RuntimeError("its results are not those of torch")


class Tiling(NamedTuple):
    """The positions of each clip in `num_parts` parts of whole tiles [block_p block_c]."""

    block_p: int
    block_c: int
    positions_per_part: int
    num_parts: int


def tiling(x: Float[Tensor, "B C P"]) -> Tiling:
    """Return about as many parts as the GPU runs at once; of every part at least one position exists."""
    B, C, P = x.shape
    block_c = _power_of_two(C)
    block_p = max(TILE_BYTES // _sum_type(x).itemsize // block_c, 1)
    num_tiles = max(_quotient_up(P, block_p), 1)
    num_parts = min(PROGRAMS_PER_PROCESSOR * _num_processors(x.device) // max(B, 1), num_tiles, MAX_PARTS)
    tiles_per_part = _quotient_up(num_tiles, max(num_parts, 1))
    return Tiling(block_p, block_c, tiles_per_part * block_p, _quotient_up(num_tiles, tiles_per_part))


@torch.library.custom_op("gcvideo::attention_pool", mutates_args=())
def _pool(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """y [B C] and log sum_j exp(<w, x_j> + b) [B], in the type that sums have."""
    B, C, P = x.shape
    tiles = tiling(x)
    parts = {"dtype": _sum_type(x), "device": x.device}
    part_contexts = torch.empty(B, tiles.num_parts, C, **parts)
    part_log_sums = torch.empty(B, tiles.num_parts, **parts)
    context, log_sum = torch.empty(B, C, **parts), torch.empty(B, **parts)
    with torch.cuda.device_of(x):
        # Every part of a clip's positions, each by a program of its own
        _kernels().pool_parts[B, tiles.num_parts](
            x,
            weight.contiguous(),
            bias,
            part_contexts,
            part_log_sums,
            P,
            *x.stride(),
            tiles.positions_per_part,
            C=C,
            BLOCK_P=tiles.block_p,
            BLOCK_C=tiles.block_c,
            WIDE=_is_wide(x),
            **LAUNCH,
        )
        # The parts of a clip, weighted by the sums of their exponentials
        _kernels().join_parts[B, _quotient_up(C, JOINED_CHANNELS)](
            part_contexts,
            part_log_sums,
            context,
            log_sum,
            tiles.num_parts,
            C=C,
            BLOCK_S=_power_of_two(tiles.num_parts),
            BLOCK_C=JOINED_CHANNELS,
            **LAUNCH,
        )
    return context, log_sum


@torch.library.custom_op("gcvideo::attention_pool_backward", mutates_args=())
def _pool_backward(
    context_gradient: Tensor, x: Tensor, weight: Tensor, bias: Tensor, context: Tensor, log_sum: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x, in its memory format, of the weight and of the bias."""
    B, C, P = x.shape
    tiles = tiling(x)
    x_gradient = torch.empty_like(x)
    weight_gradients = context.new_empty(B, tiles.num_parts, C)
    bias_gradients = context.new_empty(B, tiles.num_parts)
    # Every part writes its own positions of dx, and its share of dw and db
    with torch.cuda.device_of(x):
        _kernels().pool_parts_backward[B, tiles.num_parts](
            x,
            weight.contiguous(),
            bias,
            context,
            log_sum,
            context_gradient.contiguous(),
            x_gradient,
            weight_gradients,
            bias_gradients,
            P,
            *x.stride(),
            *x_gradient.stride(),
            tiles.positions_per_part,
            C=C,
            BLOCK_P=tiles.block_p,
            BLOCK_C=tiles.block_c,
            WIDE=_is_wide(x) or _is_wide(x_gradient),
            **LAUNCH,
        )
    # dw and db are sums over parts and clips
    weight_gradient = weight_gradients.sum(dim=(0, 1)).view(1, C).to(weight.dtype)
    return x_gradient, weight_gradient, bias_gradients.sum().view(1).to(bias.dtype)


@_pool.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    sums = x.new_empty(x.shape[0], dtype=_sum_type(x))
    return sums.new_empty(x.shape[:2]), sums


@_pool_backward.register_fake
def _(
    context_gradient: Tensor, x: Tensor, weight: Tensor, bias: Tensor, context: Tensor, log_sum: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(weight), torch.empty_like(bias)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
    context, log_sum = output
    ctx.save_for_backward(*inputs, context, log_sum)
    ctx.mark_non_differentiable(log_sum)


def _differentiate(ctx: Any, context_gradient: Tensor, _: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    return _pool_backward(context_gradient, *ctx.saved_tensors)


_pool.register_autograd(_differentiate, setup_context=_save)


def _kernels() -> Any:
    from gcvideo.kernels import pooling_kernels  # needs Triton, which is not everywhere

    return pooling_kernels


def _sum_type(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _is_wide(x: Float[Tensor, "B C P"]) -> bool:
    """Return whether the last element of a clip is too far from its first for 32 bits."""
    _, C, P = x.shape
    _, stride_c, stride_p = x.stride()
    return (C - 1) * stride_c + (P - 1) * stride_p > MAX_OFFSET


def _num_processors(device: torch.device) -> int:
    """Return the multiprocessors of a GPU; elsewhere Triton's interpreter runs one program after another."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def _power_of_two(number: int) -> int:
    """Return the smallest power of two that is not below `number`."""
    return 1 << (number - 1).bit_length()


def _quotient_up(number: int, divisor: int) -> int:
    return -(-number // divisor)
