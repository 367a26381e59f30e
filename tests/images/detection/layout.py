"""The keys and shapes of mmdetection's detectors, written from what its documentation and files say."""

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]
BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def norm(name: str, channels: int) -> Shapes:
    return {
        **{f"{name}.{leaf}": (channels,) for leaf in ("weight", "bias", "running_mean", "running_var")},
        f"{name}.num_batches_tracked": (),
    }


def layer(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def backbone(
    depth: int, *, groups: int, ratio: int | None, deformable: bool, base: int, per_group: int, offsets: str
) -> Shapes:
    """conv1 to layer4; blocks and deformable convolutions stand in layer2 to layer4, everywhere."""
    found: Shapes = {"conv1.weight": (base, 3, 7, 7), **norm("bn1", base)}
    before = base
    for stage, count in enumerate(BLOCKS[depth]):
        planes = base * 2**stage
        width, after = planes * per_group // 64 * groups, 4 * planes
        for n in range(count):
            at = f"layer{stage + 1}.{n}"
            found |= {f"{at}.conv1.weight": (width, before, 1, 1), **norm(f"{at}.bn1", width)}
            found |= {f"{at}.conv2.weight": (width, width // groups, 3, 3), **norm(f"{at}.bn2", width)}
            found |= {f"{at}.conv3.weight": (after, width, 1, 1), **norm(f"{at}.bn3", after)}
            if deformable and stage:
                found |= layer(f"{at}.{offsets}", 18, width, 3, 3)
            if n == 0:
                found |= {f"{at}.downsample.0.weight": (after, before, 1, 1)}
                found |= norm(f"{at}.downsample.1", after)
            if ratio and stage:
                hidden, block = after // ratio, f"{at}.context_block"
                found |= layer(f"{block}.conv_mask", 1, after, 1, 1)
                found |= layer(f"{block}.channel_add_conv.0", hidden, after, 1, 1)
                found[f"{block}.channel_add_conv.1.weight"] = (hidden, 1, 1)
                found[f"{block}.channel_add_conv.1.bias"] = (hidden, 1, 1)
                found |= layer(f"{block}.channel_add_conv.3", after, hidden, 1, 1)
            before = after
    return {f"backbone.{key}": shape for key, shape in found.items()}


def detector(
    depth: int = 50,
    *,
    groups: int = 1,
    per_group: int = 64,
    ratio: int | None = None,
    deformable: bool = False,
    cascade: bool = False,
    num_classes: int = 80,
    base: int = 64,
    channels: int = 256,
    hidden: int = 1024,
    offsets: str = "conv2.conv_offset",
) -> Shapes:
    """All of Mask R-CNN or, with three stages whose classes share one box, Cascade Mask R-CNN."""
    found = backbone(
        depth,
        groups=groups,
        ratio=ratio,
        deformable=deformable,
        base=base,
        per_group=per_group,
        offsets=offsets,
    )
    for n in range(4):
        found |= layer(f"neck.lateral_convs.{n}.conv", channels, 4 * base * 2**n, 1, 1)
        found |= layer(f"neck.fpn_convs.{n}.conv", channels, channels, 3, 3)
    found |= layer("rpn_head.rpn_conv", channels, channels, 3, 3)
    found |= layer("rpn_head.rpn_cls", 3, channels, 1, 1)
    found |= layer("rpn_head.rpn_reg", 12, channels, 1, 1)
    for stage in ("0.", "1.", "2.") if cascade else ("",):
        box, mask = f"roi_head.bbox_head.{stage}", f"roi_head.mask_head.{stage}"
        found |= layer(f"{box}shared_fcs.0", hidden, channels * 49)
        found |= layer(f"{box}shared_fcs.1", hidden, hidden)
        found |= layer(f"{box}fc_cls", num_classes + 1, hidden)
        found |= layer(f"{box}fc_reg", 4 if cascade else 4 * num_classes, hidden)
        for n in range(4):
            found |= layer(f"{mask}convs.{n}.conv", channels, channels, 3, 3)
        found |= {f"{mask}upsample.weight": (channels, channels, 2, 2), f"{mask}upsample.bias": (channels,)}
        found |= layer(f"{mask}conv_logits", num_classes, channels, 1, 1)
    return found


def filled(shapes: Shapes) -> dict[str, Tensor]:
    """Return tensors of random numbers; variances are positive and counters whole."""
    torch.manual_seed(0)
    found = {}
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            found[key] = torch.tensor(7)
        elif key.endswith("running_var"):
            found[key] = torch.rand(shape) + 0.5
        else:
            found[key] = torch.randn(shape) * 0.1
    return found
