"""Triton kernels of `fused_pooling`: a map x [B C P] in tiles of [BLOCK_P BLOCK_C], each read once.

Program (b, s) of the grid B x S goes over part s of the positions of clip b, `positions_per_part` of them,
and writes what it found; nothing is added up in an order that changes, so results repeat to the bit. All
arithmetic is in the element type of the results. Strides are in elements. BLOCK_P and BLOCK_C are powers of
two, BLOCK_C is at least C, and `positions_per_part` is a multiple of BLOCK_P. WIDE says that offsets within
a clip take more than 32 bits.
"""

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def pool_parts(
    x,  # B C P
    weight,  # C
    bias,  # 1
    contexts,  # B S C
    log_sums,  # B S
    P,
    stride_b,
    stride_c,
    stride_p,
    positions_per_part,
    C: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
    WIDE: tl.constexpr,
):
    """y_s = sum_j softmax_j(l) x_j and log sum_j exp(l_j) over the positions j of part s, l_j = w x_j + b.

    Softmax in one pass (Milakov and Gimelshein, algorithm 3, arXiv:1805.02867): where a tile raises the
    maximum, what was summed before is scaled down.
    """
    b, s, S = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.num_programs(1)
    accumulator = contexts.dtype.element_ty
    c = tl.arange(0, BLOCK_C)
    w = tl.load(weight + c, mask=c < C, other=0).to(accumulator)
    offset = tl.load(bias).to(accumulator)

    maximum = tl.full((), float("-inf"), accumulator)
    total = tl.full((), 0, accumulator)
    context = tl.zeros((BLOCK_C,), accumulator)
    start = s * positions_per_part
    for first in range(start, tl.minimum(start + positions_per_part, P), BLOCK_P):
        p = first + tl.arange(0, BLOCK_P)
        rows = _tile(x, b, p, c, stride_b, stride_c, stride_p, WIDE)
        x_p = tl.load(rows, mask=(p < P)[:, None] & (c < C)[None, :], other=0).to(accumulator)
        logits = tl.where(p < P, tl.sum(x_p * w[None, :], axis=1) + offset, float("-inf"))
        raised = tl.maximum(maximum, tl.max(logits, axis=0))
        scale = tl.exp(maximum - raised)
        shares = tl.exp(logits - raised)
        total = total * scale + tl.sum(shares, axis=0)
        context = context * scale + tl.sum(shares[:, None] * x_p, axis=0)
        maximum = raised

    part = b * S + s
    tl.store(contexts + part * C + c, context / total, mask=c < C)
    tl.store(log_sums + part, maximum + tl.log(total))


@triton.jit
@no_type_check
def join_parts(
    contexts,  # B S C
    log_sums,  # B S
    context,  # B C
    log_sum,  # B
    S,
    C: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """y = sum_s softmax_s(log_sums) y_s, and the log of the sum over all positions."""
    b = tl.program_id(0).to(tl.int64)
    s = tl.arange(0, BLOCK_S)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    logs = tl.load(log_sums + b * S + s, mask=s < S, other=float("-inf"))
    maximum = tl.max(logs, axis=0)
    shares = tl.exp(logs - maximum)
    total = tl.sum(shares, axis=0)
    present = (s < S)[:, None] & (c < C)[None, :]
    y_s = tl.load(contexts + (b * S + s)[:, None] * C + c[None, :], mask=present, other=0)
    tl.store(context + b * C + c, tl.sum(shares[:, None] * y_s, axis=0) / total, mask=c < C)
    # Every column of programs writes the same number.
    tl.store(log_sum + b, maximum + tl.log(total))


@triton.jit
@no_type_check
def pool_parts_backward(
    x,  # B C P
    weight,  # C
    bias,  # 1
    context,  # B C
    log_sum,  # B
    context_gradient,  # B C
    x_gradient,  # B C P
    weight_gradients,  # B S C
    bias_gradients,  # B S
    P,
    stride_b,
    stride_c,
    stride_p,
    gradient_stride_b,
    gradient_stride_c,
    gradient_stride_p,
    positions_per_part,
    C: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
    WIDE: tl.constexpr,
):
    """With g the gradient of y and a_j = exp(l_j - log_sum): dl_j = a_j <g, x_j - y>, dx_j = a_j g + dl_j w.

    The gradients of w and b, sum_j dl_j x_j and sum_j dl_j, are those of the part.
    """
    # What all positions of the part share: w, b, g, <g, y> and log_sum
    b, s, S = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.num_programs(1)
    accumulator = weight_gradients.dtype.element_ty
    c = tl.arange(0, BLOCK_C)
    w = tl.load(weight + c, mask=c < C, other=0).to(accumulator)
    offset = tl.load(bias).to(accumulator)
    g = tl.load(context_gradient + b * C + c, mask=c < C, other=0)
    g_y = tl.sum(g * tl.load(context + b * C + c, mask=c < C, other=0), axis=0)
    log_total = tl.load(log_sum + b)

    # One tile after another: x is read once, dx written once
    dw = tl.zeros((BLOCK_C,), accumulator)
    db = tl.full((), 0, accumulator)
    start = s * positions_per_part
    for first in range(start, tl.minimum(start + positions_per_part, P), BLOCK_P):
        p = first + tl.arange(0, BLOCK_P)
        present = (p < P)[:, None] & (c < C)[None, :]
        rows = _tile(x, b, p, c, stride_b, stride_c, stride_p, WIDE)
        x_p = tl.load(rows, mask=present, other=0).to(accumulator)
        logits = tl.sum(x_p * w[None, :], axis=1) + offset
        a = tl.where(p < P, tl.exp(logits - log_total), 0)
        dl = a * (tl.sum(x_p * g[None, :], axis=1) - g_y)
        dx = a[:, None] * g[None, :] + dl[:, None] * w[None, :]
        dx_rows = _tile(x_gradient, b, p, c, gradient_stride_b, gradient_stride_c, gradient_stride_p, WIDE)
        tl.store(dx_rows, dx, mask=present)
        dw += tl.sum(dl[:, None] * x_p, axis=0)
        db += tl.sum(dl, axis=0)

    part = b * S + s
    tl.store(weight_gradients + part * C + c, dw, mask=c < C)
    tl.store(bias_gradients + part, db)


@triton.jit
@no_type_check
def _tile(x, b, p, c, stride_b, stride_c, stride_p, WIDE: tl.constexpr):
    """Where x_pc of clip b is. Offsets of 64 bits, WIDE, take registers that the tile is short of."""
    if WIDE:
        p = p.to(tl.int64)
        c = c.to(tl.int64)
    return x + b * stride_b + ((p * stride_p)[:, None] + (c * stride_c)[None, :])
