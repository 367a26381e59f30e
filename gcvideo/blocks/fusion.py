"""Fusion: how a transformed context y meets the features x; a y that positions share broadcasts."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Add(nn.Module):
    """z_i = x_i + y_i."""

    def forward(
        self, x: Float[Tensor, "B C *positions"], y: Float[Tensor, "B C *queries"]
    ) -> Float[Tensor, "B C *positions"]:
        return x + y


class Scale(nn.Module):
    """z_i = x_i * sigmoid(y_i): channels are gated."""

    def forward(
        self, x: Float[Tensor, "B C *positions"], y: Float[Tensor, "B C *queries"]
    ) -> Float[Tensor, "B C *positions"]:
        return x * torch.sigmoid(y)


class InTurn(nn.Module):
    """z = fuse_n(... fuse_1(x, y_1) ..., y_n): several fusions, each with its own branch y."""

    def __init__(self, *fusions: nn.Module):
        super().__init__()
        self.fusions = nn.ModuleList(fusions)

    def forward(
        self, x: Float[Tensor, "B C *positions"], y: tuple[Float[Tensor, "B C *queries"], ...]
    ) -> Float[Tensor, "B C *positions"]:
        for fuse, branch in zip(self.fusions, y, strict=True):
            x = fuse(x, branch)
        return x
