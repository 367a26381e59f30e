"""Multiply-adds of a forward pass.

A FLOP is one fused multiply-add of a convolution or a matrix product, as the papers of the field count it.
Norms, softmax, pooling and element-wise operators are not counted; they are named beside the number.
"""

from collections import Counter
from math import prod
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis, jit_handles
from torch import nn


def _attention_flops(inputs: list[Any], outputs: list[Any]) -> int:
    """Count two matrix products: queries with keys, weights with values."""
    query, key, value = (tensor.type().sizes() for tensor in inputs[:3])
    batch, (queries, width), positions = prod(query[:-2]), query[-2:], key[-2]
    return batch * queries * positions * (width + value[-1])


def _attention_pool_flops(inputs: list[Any], outputs: list[Any]) -> int:
    """Count two matrix products: a key with positions, weights with positions."""
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


def count_flops(network: nn.Module, view: torch.Tensor) -> tuple[int, Counter[str]]:
    """Return the multiply-adds of one forward pass, and the operators that are not among them."""
    analysis = FlopCountAnalysis(network, view).clear_op_handles()
    analysis.set_op_handle(**COUNTED, **dict.fromkeys(MOVES_DATA_ONLY))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with torch.no_grad():  # a function that has a gradient of its own would be one operator in the trace
        return int(analysis.total()), analysis.unsupported_ops()
