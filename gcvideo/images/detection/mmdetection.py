"""The names and shapes of mmdetection's detectors (2.x and 3.x), read and written.

A name here is mmdetection's on the left and ours on the right. Tensors are the same but for three things:
linear maps of context blocks are convolutions there, the background is the last class there and the first
here, and files written before mmcv 2 call the offsets of a deformable convolution `conv2_offset`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

BACKBONE = "backbone.body."
CONTEXT = {
    ".context_block.conv_mask": ".context.context.key",
    ".context_block.channel_add_conv.0": ".context.transform.reduce",
    ".context_block.channel_add_conv.1": ".context.transform.norm",
    ".context_block.channel_add_conv.3": ".context.transform.expand",
}
"""How layers of a global-context block end."""
PYRAMID = {
    **{f"neck.lateral_convs.{n}.conv": f"backbone.fpn.inner_blocks.{n}.0" for n in range(4)},
    **{f"neck.fpn_convs.{n}.conv": f"backbone.fpn.layer_blocks.{n}.0" for n in range(4)},
    "rpn_head.rpn_conv": "rpn.head.conv.0.0",
    "rpn_head.rpn_cls": "rpn.head.cls_logits",
    "rpn_head.rpn_reg": "rpn.head.bbox_pred",
}
BOXES = {
    "shared_fcs.0": "shared.fc6",
    "shared_fcs.1": "shared.fc7",
    "fc_cls": "classes",
    "fc_reg": "deltas",
}
MASKS = {
    **{f"convs.{n}.conv": f"convolutions.{n}.0" for n in range(4)},
    "upsample": "predictor.conv5_mask",
    "conv_logits": "predictor.mask_fcn_logits",
}


class Detector(NamedTuple):
    """What a file of mmdetection's holds, by our names."""

    state: dict[str, Tensor]
    unknown: list[str]
    """Keys that no layer here has, as mmdetection names them."""
    num_stages: int
    num_classes: int | None

    def __str__(self) -> str:
        kind = {0: "a backbone", 1: "Mask R-CNN"}.get(
            self.num_stages, f"a cascade of {self.num_stages} stages"
        )
        placed = sum(key.endswith(".context.context.key.weight") for key in self.state)
        offsets = sum(key.endswith(".conv_offset.weight") for key in self.state)
        parts = [f"mmdetection naming, {kind}"]
        parts += [f"{self.num_classes} classes"] if self.num_classes is not None else []
        parts += [f"{placed} context blocks"] if placed else []
        parts += [f"{offsets} deformable convolutions"] if offsets else []
        return ", ".join(parts)


def is_mmdetection(state: Mapping[str, Tensor]) -> bool:
    """Return whether a state dict has the names of mmdetection's detectors, of any version."""
    starts = ("neck.", "rpn_head.", "roi_head.", "bbox_head.", "mask_head.")
    return any(key.startswith(starts) or ".context_block." in key for key in state)


def heads(num_stages: int) -> dict[str, str]:
    """Return the layers behind proposals: those of a cascade have the number of their stage."""
    named = {}
    for stage in range(num_stages):
        number = f"{stage}." if num_stages > 1 else ""
        ours = f"roi_heads.stages.{stage}"
        named |= {f"roi_head.bbox_head.{number}{a}": f"{ours}.box_head.{b}" for a, b in BOXES.items()}
        named |= {f"roi_head.mask_head.{number}{a}": f"{ours}.mask_head.{b}" for a, b in MASKS.items()}
    return named


def count_stages(state: Mapping[str, Tensor]) -> int:
    """Return how many heads for boxes there are under mmdetection's names."""
    several = sum(f"roi_head.bbox_head.{number}.fc_cls.weight" in state for number in range(10))
    return several or int("roi_head.bbox_head.fc_cls.weight" in state)


def read_mmdetection(state: Mapping[str, Tensor], path: Path, *, backbone_only: bool = False) -> Detector:
    """Return a state dict of mmdetection's by our names.

    Args:
        state: By its names.
        path: The file that errors name.
        backbone_only: Leave necks and heads behind, whichever version they are of.

    Raises:
        ValueError: The heads are of mmdetection 1.x, whose weights mean something else.
    """
    if backbone_only:
        state = {key: tensor for key, tensor in state.items() if key.startswith("backbone.")}
    else:
        refuse_first_version(state, path)
    num_stages = count_stages(state)
    table = PYRAMID | heads(num_stages)
    found, unknown = {}, []
    for key, tensor in state.items():
        layer, _, leaf = key.rpartition(".")
        ours = _of_backbone(layer) if layer.startswith("backbone.") else table.get(layer)
        if ours is None:
            unknown.append(key)
        else:
            found[f"{ours}.{leaf}"] = _as_ours(ours, tensor)
    classes = found.get("roi_heads.stages.0.box_head.classes.weight")
    return Detector(found, unknown, num_stages, None if classes is None else len(classes) - 1)


def write_mmdetection(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of ours by mmdetection's names, as files of its version 3 have them.

    Raises:
        ValueError: mmdetection has no name for a layer, as of a context block of another kind.
    """
    num_stages = sum(key.endswith(".box_head.classes.weight") for key in state)
    table = {ours: theirs for theirs, ours in (PYRAMID | heads(num_stages)).items()}
    found, nameless = {}, []
    for key, tensor in state.items():
        layer, _, leaf = key.rpartition(".")
        theirs = table.get(layer)
        if layer.startswith(BACKBONE):
            theirs = f"backbone.{layer.removeprefix(BACKBONE)}"
            for name, ours in CONTEXT.items():
                theirs = theirs.replace(ours, name) if theirs.endswith(ours) else theirs
        if theirs is None or ".context." in theirs:
            nameless.append(layer)
        else:
            found[f"{theirs}.{leaf}"] = _as_theirs(layer, tensor)
    if nameless:
        raise ValueError(f"mmdetection has no name for {', '.join(sorted(set(nameless)))}")
    return found


def refuse_first_version(state: Mapping[str, Tensor], path: Path) -> None:
    """Raise ValueError for heads of mmdetection 1.x, as in the files of GCNet's own repository.

    They are known by outputs for the background: 81 masks and 324 deltas of COCO's 80 classes.
    """
    rows = {key.split(".")[-2]: len(tensor) for key, tensor in state.items() if key.endswith(".weight")}
    classes, deltas, masks = (rows.get(name) for name in ("fc_cls", "fc_reg", "conv_logits"))
    shows = []
    if classes is not None and deltas == 4 * classes:
        shows.append(f"{deltas} deltas of {classes} classes with the background")
    if classes is not None and masks == classes:
        shows.append(f"{masks} masks of {classes} classes with the background")
    if any(key.startswith(("bbox_head.", "mask_head.")) for key in state):
        shows.append("heads that do not stand below roi_head")
    if shows:
        raise ValueError(
            f"{path}: is of mmdetection 1.x ({'; '.join(shows)}), whose boxes are a pixel wider and whose "
            "anchors and regions lie elsewhere; use a file of mmdetection's own page of GCNet, or take the "
            "backbone alone: model.weights.new: [detector]"
        )


def _of_backbone(layer: str) -> str:
    ours = BACKBONE + layer.removeprefix("backbone.").replace(".conv2_offset", ".conv2.conv_offset")
    for theirs, name in CONTEXT.items():
        if ours.endswith(theirs):
            return ours.removesuffix(theirs) + name
    return ours


def _as_ours(layer: str, tensor: Tensor) -> Tensor:
    if ".context." in layer:
        return (
            tensor.flatten() if layer.endswith(".norm") else tensor.flatten(1) if tensor.ndim > 1 else tensor
        )
    return tensor.roll(1, dims=0) if layer.endswith(".box_head.classes") else tensor


def _as_theirs(layer: str, tensor: Tensor) -> Tensor:
    if ".context." in layer and (tensor.ndim == 2 or layer.endswith(".norm")):
        return tensor[..., None, None]
    return tensor.roll(-1, dims=0) if layer.endswith(".box_head.classes") else tensor
