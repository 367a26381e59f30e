"""Cross-entropy over pixels, some of which do not count."""

import torch.distributed as dist
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F


def pixel_cross_entropy(
    logits: Float[Tensor, "B K H W"], classes: Int64[Tensor, "B H W"], *, ignore_index: int
) -> Float[Tensor, ""]:
    """Return R/N times the sum of -log softmax(logits) at the classes, of the pixels that count on this rank.

    N are the pixels that count on all R ranks together. So the mean over ranks, which their gradients are
    averaged to, is the mean over the N pixels, in whatever shares the ranks have them; alone it is the mean.
    Where no pixel counts it is 0.
    """
    num_pixels = (classes != ignore_index).sum()
    num_ranks = 1
    if dist.is_initialized():
        dist.all_reduce(num_pixels)
        num_ranks = dist.get_world_size()
    total = F.cross_entropy(logits.float(), classes, ignore_index=ignore_index, reduction="sum")
    return total * num_ranks / num_pixels.clamp(min=1)
