"""Small feature maps and blocks for the tests, all of them random and in float64."""

import torch
from torch import Tensor, nn

POSITIONS = [(5,), (2, 4), (3, 1, 4)]
"""A sequence, an image, a clip."""


def features(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def with_random_weights(module: nn.Module, seed: int = 0) -> nn.Module:
    """In float64, and no weight left at zero or one: a block that does something."""
    generator = torch.Generator().manual_seed(seed)
    module.double()
    for parameter in module.parameters():
        with torch.no_grad():
            parameter.copy_(0.7 * torch.randn(parameter.shape, generator=generator))
    return module
