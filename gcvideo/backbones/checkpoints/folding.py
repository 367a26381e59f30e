"""Batch norms folded into the layers before them, for networks that only infer."""

import copy
from typing import cast

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from gcvideo.private_names import BatchNorm


def fold_batch_norms(network: nn.Module) -> tuple[nn.Module, int]:
    """Return a copy in evaluation whose batch norms are identities, and how many were folded.

    gamma (W x + b - mean) / sigma + beta is the one map W' x + b' with W' = gamma / sigma W and
    b' = gamma / sigma (b - mean) + beta.

    Raises:
        ValueError: A batch norm has no convolution or linear layer before it.
    """
    network = copy.deepcopy(network).eval()
    num_folded = 0
    for name, parent in network.named_modules():
        layers = dict(parent.named_children())
        for child, norm in layers.items():
            if not isinstance(norm, BatchNorm):
                continue
            before = layers.get(_layer_before(child))
            if isinstance(before, nn.Conv3d):
                folded = fuse_conv_bn_eval(before, norm)
            elif isinstance(before, nn.Linear):
                folded = fuse_linear_bn_eval(before, cast(nn.BatchNorm1d, norm))
            else:
                raise ValueError(
                    f"{name}.{child} follows no convolution or linear layer; export without folding"
                )
            setattr(parent, _layer_before(child), folded)
            setattr(parent, child, nn.Identity())
            num_folded += 1
    return network, num_folded


def _layer_before(norm: str) -> str:
    """Return what a norm follows: norm_a conv_a, branch1_norm branch1_conv; of a sequence, 1 follows 0."""
    return str(int(norm) - 1) if norm.isdigit() else norm.replace("norm", "conv")
