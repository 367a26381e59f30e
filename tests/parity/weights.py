"""Weights for comparisons in which every layer is to be seen."""

from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def with_every_layer_mattering(network: Network) -> Network:
    """Random scales, shifts and statistics of norms, near those of a trained network, in evaluation.

    At initialisation the last norm of every residual branch of pytorchvideo is zero: what stands before it
    is not seen.
    """
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            shape = module.weight.shape
            with torch.no_grad():
                module.weight.copy_(0.4 + 0.4 * torch.rand(shape, generator=generator))
                module.bias.copy_(0.2 * torch.randn(shape, generator=generator))
            module.running_mean = 0.2 * torch.randn(shape, generator=generator)
            module.running_var = 0.5 + torch.rand(shape, generator=generator)
    return network.eval()
