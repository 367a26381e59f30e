"""Which places of a clip speak for a class (Selvaraju et al., Grad-CAM, arXiv:1610.02391), by captum."""

from typing import cast

import torch
from captum.attr import LayerAttribution, LayerGradCam
from jaxtyping import Float
from torch import Tensor, nn

from gcvideo.attention.maps import Layer, Layers
from gcvideo.backbones.protocols import pathways, shown_stages
from gcvideo.training.tasks import Task


def stage_of(network: nn.Module, name: str) -> nn.Module:
    """Return a stage by name, as res5, or of two pathways fast.res5.

    Of a network that shows no stages, it is any part by its module name.

    Raises:
        ValueError: There is none of that name, or it is a list of parts, which passes no feature map.
    """
    stages = shown_stages(network)
    if stages is None:
        parts, known = dict(network.named_modules()), "its module names"
    else:
        parts = {
            f"{pathway}{stage_name}": part
            for stage_name, stage in stages.items()
            for pathway, part in pathways(stage).items()
        }
        known = ", ".join(parts)
    if name not in parts:
        raise ValueError(f"Grad-CAM of {name!r}: {type(network).__name__} has {known}")
    if isinstance(parts[name], nn.ModuleList):
        raise ValueError(
            f"Grad-CAM of {name!r}: {type(network).__name__} passes no feature maps [B C T H W] there"
        )
    return parts[name]


def grad_cam_layers(
    network: nn.Module, stage: nn.Module, clip: Float[Tensor, "1 3 T H W"], task: Task
) -> Layers:
    """Return Grad-CAM of the likeliest class, over its peak.

    ReLU(sum_c mean(d logit / d A_c) A_c), where A leaves the stage.
    """
    left: list[object] = []
    handle = stage.register_forward_hook(lambda _, __, output: left.append(output))
    with torch.inference_mode():
        probabilities = task.probabilities(network(clip)[:, None])[0]
    handle.remove()
    if not left or not isinstance(left[0], Tensor) or left[0].ndim != 5:
        kind = type(stage).__name__
        raise ValueError(
            f"Grad-CAM: a feature map [B C T H W] should leave the stage, and {kind} passes none"
        )
    likeliest = int(probabilities.argmax())
    found = LayerGradCam(network, stage).attribute(clip, target=likeliest, relu_attributions=True)
    values = LayerAttribution.interpolate(
        cast(Tensor, found).detach(), tuple(clip.shape[2:]), interpolate_mode="trilinear"
    )[0, 0]
    title = f"{task.class_names[likeliest]} {probabilities[likeliest]:.0%}"
    peak = values.max().clamp_min(torch.finfo(values.dtype).tiny)
    return Layers([Layer(title, values / peak, None)], "Grad-CAM relative to its peak")
