"""How the weights of a network lie in memory."""

from itertools import chain

import torch
from torch import nn


def to_channels_last(network: nn.Module) -> None:
    """Lay the kernels of 3-D convolutions out as channels_last_3d, and leave all else as it is.

    `network.to(memory_format=torch.channels_last_3d)` fails on tensors of four axes, as
    kernels of images.
    """
    for tensor in chain(network.parameters(), network.buffers()):
        if tensor.ndim == 5:
            tensor.data = tensor.data.to(memory_format=torch.channels_last_3d)
