"""The papers' equations as plain loops over positions in float64: one clip x [C P] at a time."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def softmax(logits: list[Tensor]) -> list[Tensor]:
    exponentials = [math.e**logit for logit in logits]
    return [exponential / sum(exponentials) for exponential in exponentials]


def attention_pool_weights(x: Tensor, W_k: Tensor, b_k: Tensor) -> list[Tensor]:
    """a_j = exp(W_k x_j) / sum_m exp(W_k x_m)."""
    return softmax([W_k @ x[:, j] + b_k for j in range(x.shape[1])])


def pooled(x: Tensor, weights: list[Tensor]) -> Tensor:
    """sum_j a_j x_j."""
    total = torch.zeros(x.shape[0], dtype=x.dtype)
    for j, weight in enumerate(weights):
        total = total + weight * x[:, j]
    return total


def layer_norm(y: Tensor, gain: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    mean = sum(y) / len(y)
    variance = sum((element - mean) ** 2 for element in y) / len(y)
    return gain * (y - mean) / (variance + eps) ** 0.5 + shift


def relu(y: Tensor) -> Tensor:
    return torch.stack([max(element, 0 * element) for element in y])


def sigmoid(y: Tensor) -> Tensor:
    return 1 / (1 + math.e**-y)


def batch_norm(y: Tensor, gain: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    """y [N C]: every channel by the mean and variance of its N values."""
    columns = [
        gain[c]
        * (y[:, c] - sum(y[:, c]) / len(y))
        / (sum((y[:, c] - sum(y[:, c]) / len(y)) ** 2) / len(y) + eps) ** 0.5
        + shift[c]
        for c in range(y.shape[1])
    ]
    return torch.stack(columns, dim=1)


def max_pool_1x2x2(x: Tensor) -> Tensor:
    """x [C T H W] -> [C T H/2 W/2]."""
    C, T, H, W = x.shape
    out = torch.empty(C, T, H // 2, W // 2, dtype=x.dtype)
    for c in range(C):
        for t in range(T):
            for h in range(H // 2):
                for w in range(W // 2):
                    cells = [x[c, t, 2 * h + i, 2 * w + j] for i in (0, 1) for j in (0, 1)]
                    out[c, t, h, w] = max(cells)
    return out


def non_local(
    queries: list[Tensor],
    keys: list[Tensor],
    values: list[Tensor],
    normalised_affinity: Callable[[Tensor, list[Tensor]], list[Tensor]],
) -> tuple[Tensor, Tensor]:
    """y_i = sum_j f(q_i, k_j) / C v_j, and the weights f / C [Q P]."""
    rows = [normalised_affinity(query, keys) for query in queries]
    outputs = [sum(w * v for w, v in zip(row, values, strict=True)) for row in rows]
    return torch.stack(outputs), torch.stack([torch.stack(row) for row in rows])


def gaussian(query: Tensor, keys: list[Tensor]) -> list[Tensor]:
    """exp<q, k_j> / sum_m exp<q, k_m>."""
    return softmax([sum(query * key) for key in keys])


def scaled_gaussian(query: Tensor, keys: list[Tensor]) -> list[Tensor]:
    return softmax([sum(query * key) / math.sqrt(len(query)) for key in keys])


def dot_product(query: Tensor, keys: list[Tensor]) -> list[Tensor]:
    """<q, k_j> / P."""
    return [sum(query * key) / len(keys) for key in keys]


def concat(w: Tensor) -> Callable[[Tensor, list[Tensor]], list[Tensor]]:
    """ReLU(w^T [q, k_j]) / P."""

    def affinity(query: Tensor, keys: list[Tensor]) -> list[Tensor]:
        return [max(sum(w * torch.cat([query, key])), 0 * w[0]) / len(keys) for key in keys]

    return affinity
