"""Configurations of MMAction2 and mmdetection: Python that assigns dicts, text in every checkpoint's meta."""

import ast
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from gcvideo.backbones.checkpoints.configurations.said import Foreign, Input, Said, Skeleton
from gcvideo.backbones.resnet import ARCHITECTURES, Architecture

IMAGE_BACKBONES = {"ResNet": "c2d_nopool", "C2D": "c2d_unpadded"}
"""Which work frame by frame: TSN's, whose head is the mean over frames, and C2D's."""

VIDEO_BACKBONES = ("ResNet3d", "ResNet3dSlowOnly")

STYLES = {"pytorch": "3x3", "caffe": "1x1"}

USUAL: dict[str, Any] = {
    **{"spatial_strides": (1, 2, 2, 2), "temporal_strides": (1, 1, 1, 1), "strides": (1, 2, 2, 2)},
    **{"dilations": (1, 1, 1, 1), "conv1_stride_s": 2, "pool1_stride_s": 2, "with_pool1": True},
    **{"act_cfg.type": "ReLU", "norm_cfg.eps": 1e-5},
}
"""Of a backbone, what no network here can be set to otherwise."""

USUAL_OF_HEADS = {"spatial_type": "avg", "consensus.type": "AvgConsensus"}

NORMALISING = ("Normalize", "ActionDataPreprocessor", "DetDataPreprocessor")


def parse(text: str) -> dict[str, Any]:
    """Return what a configuration in Python assigns. Nothing in it is run.

    Raises:
        ValueError: It is no Python.
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, RecursionError) as error:
        raise ValueError("is no Python") from error
    return {
        target.id: _value(statement.value)
        for statement in statements
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def read(config: Mapping[str, Any], skeleton: Skeleton) -> Said:
    """Return what a configuration of MMAction2 or mmdetection says, in our words."""
    model = config.get("model", {})
    backbone, head = model.get("backbone", {}), model.get("cls_head", {})
    if "type" not in backbone:
        return Said({}, [], _read_input(config))
    # The backbone, and what is unusual in it and its head.
    kind = backbone["type"].split(".")[-1]  # without its registry's scope
    settings: dict[str, str] = {}
    foreign = [Foreign("network", f"backbone.{text}") for text in _unusual(backbone, USUAL)]
    foreign += [Foreign("head", f"cls_head.{text}") for text in _unusual(head, USUAL_OF_HEADS)]
    if kind not in (*IMAGE_BACKBONES, *VIDEO_BACKBONES):
        foreign.append(Foreign("network", f"backbone.type {kind}"))
    elif (style := backbone.get("style", "pytorch")) in STYLES:
        settings["stride_on"] = STYLES[style]

    # The architecture, by its kind or by where it halves time.
    strides = _temporal_strides(backbone, kind)
    found = [name for name in skeleton.architectures if _temporal_strides_of(ARCHITECTURES[name]) == strides]
    if kind in IMAGE_BACKBONES:
        settings["architecture"] = IMAGE_BACKBONES[kind]
    elif len(found) == 1:
        settings["architecture"] = found[0]
    elif None not in strides.values():
        foreign.append(
            Foreign("network", ", ".join(f"backbone.{key} {value}" for key, value in strides.items()))
        )
    if any(skeleton.places):
        settings |= _read_non_local(backbone.get("non_local_cfg", {}))
    return Said(settings, foreign, _read_input(config))


def write(settings: Mapping[str, str], skeleton: Skeleton) -> str:
    """Return the backbone that computes what our network does, as MMAction2 is configured."""
    # The residual network.
    table = ARCHITECTURES[settings["architecture"]]
    styles = {ours: theirs for theirs, ours in STYLES.items()}
    backbone: dict[str, Any] = {
        "type": "ResNet3d",
        "depth": skeleton.depth,
        "base_channels": skeleton.stem_channels,
        "style": styles[settings["stride_on"]],
        "conv1_kernel": table.stem_kernel,
        **_temporal_strides_of(table),
        "inflate": tuple(
            tuple(int(kernels[n % len(kernels)][0] > 1) for n in range(num_blocks))
            for kernels, num_blocks in zip(table.first_kernels, skeleton.num_blocks, strict=True)
        ),
    }
    # Its non-local blocks.
    if "instantiation" in settings:
        scaled = settings["instantiation"].startswith("scaled_")
        backbone["non_local"] = tuple(
            tuple(int(n in places) for n in range(num_blocks))
            for places, num_blocks in zip(skeleton.places, skeleton.num_blocks, strict=True)
        )
        backbone["non_local_cfg"] = {
            "sub_sample": settings["subsampling"] != "none",
            "use_scale": scaled,
            "norm_cfg": {"type": "BN3d", "requires_grad": True},
            "mode": settings["instantiation"].removeprefix("scaled_"),
        }
    return f"model = {_source({'backbone': backbone})}\n"


def _temporal_strides(backbone: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return where a backbone halves time; None if that is left to a default that releases changed."""
    default = 1 if kind == "ResNet3dSlowOnly" else None
    return {
        "conv1_stride_t": backbone.get("conv1_stride_t", default),
        "pool1_stride_t": backbone.get("pool1_stride_t", default),
        "with_pool2": backbone.get("with_pool2", kind != "ResNet3dSlowOnly"),
    }


def _temporal_strides_of(table: Architecture) -> dict[str, Any]:
    conv, pool = table.stem_strides
    return {"conv1_stride_t": conv, "pool1_stride_t": pool, "with_pool2": table.halves_time_after_res2}


def _read_non_local(config: Mapping[str, Any]) -> dict[str, str]:
    """Read non-local blocks: mmcv divides the logits of an embedded Gaussian unless told not to."""
    mode = config.get("mode", "embedded_gaussian")
    if mode == "embedded_gaussian" and config.get("use_scale", True):
        mode = "scaled_embedded_gaussian"
    return {"instantiation": mode}


def _read_input(config: Mapping[str, Any]) -> Input:
    parts = list(_dicts(config))
    samples = [part for part in parts if part.get("type") == "SampleFrames" and part.get("clip_len", 1) > 1]
    norms = [part for part in parts if part.get("type") in NORMALISING]
    sample, norm = (found[0] if found else {} for found in (samples, norms))
    return Input(
        num_frames=sample.get("clip_len"),
        stride=sample.get("frame_interval", 1) if sample else None,
        mean=tuple(value / 255 for value in norm["mean"]) if norm.get("mean") else None,
        std=tuple(value / 255 for value in norm["std"]) if norm.get("std") else None,
        channels=_channels(norm),
    )


def _channels(norm: Mapping[str, Any]) -> Literal["RGB", "BGR"] | None:
    """Return the order of channels: MMAction2 decodes RGB and may turn it, mmdetection BGR."""
    if "to_bgr" in norm:
        return "BGR" if norm["to_bgr"] else "RGB"
    for name in ("to_rgb", "bgr_to_rgb"):
        if name in norm:
            return "RGB" if norm[name] else "BGR"
    return None


def _unusual(config: Mapping[str, Any], usual: Mapping[str, Any]) -> Iterator[str]:
    """Return the settings that are other than the usual ones, with their values."""
    for name, expected in usual.items():
        value: Any = config
        for key in name.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None and value != expected:
            yield f"{name} {value}"


def _dicts(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every dict in a configuration, from outside inwards."""
    if isinstance(value, Mapping):
        yield value
    if isinstance(value, Mapping | tuple | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _dicts(part)


def _value(node: ast.expr) -> Any:
    """Return a value of dicts, tuples, lists, numbers and strings; of anything else its text."""
    match node:
        case ast.Call(func=ast.Name(id="dict"), args=args, keywords=keywords):
            mappings = [*args, *(part.value for part in keywords if not part.arg)]
            pairs = [pair for node in mappings if isinstance(node, ast.Dict) for pair in _value(node).items()]
            return dict(pairs) | {part.arg: _value(part.value) for part in keywords if part.arg}
        case ast.Dict(keys=keys, values=values):
            return {_value(key): _value(value) for key, value in zip(keys, values, strict=True) if key}
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return tuple(_value(part) for part in parts)
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def _source(value: Any) -> str:
    """Return a value as such a configuration has it."""
    if isinstance(value, Mapping):
        return f"dict({', '.join(f'{key}={_source(part)}' for key, part in value.items())})"
    return repr(value)
