"""From the views of a video to the video's class probabilities."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


def view_logits(
    network: nn.Module, views: Float[Tensor, "B V 3 T H W"], *, views_per_forward: int
) -> Float[Tensor, "B V K"]:
    """Return the logits of every view, `views_per_forward` of them at a time to bound memory."""
    flat = views.flatten(0, 1)
    logits = torch.cat([network(chunk) for chunk in flat.split(views_per_forward)])
    return logits.unflatten(0, views.shape[:2])


def video_probabilities(logits: Float[Tensor, "B V K"]) -> Float[Tensor, "B K"]:
    """Return the mean over views of the softmax over classes (Wang et al., arXiv:1711.07971, section 5.1)."""
    return logits.float().softmax(dim=-1).mean(dim=1)
