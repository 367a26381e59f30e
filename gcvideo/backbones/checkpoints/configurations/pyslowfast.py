"""PySlowFast's configurations: YAML, whole, in every checkpoint that it saves as `cfg`."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from gcvideo.backbones.checkpoints.configurations.said import Foreign, Input, Said, Skeleton

STAGES = ("res2", "res3", "res4", "res5")

ARCHITECTURES: dict[str, str] = {
    **{"slow": "slow", "slowonly": "slow", "i3d": "i3d", "i3d_nopool": "i3d_nopool"},
    **{"c2d": "c2d", "c2d_nopool": "c2d_nopool", "2d": "c2d_nopool"},
}

# Its softmax always divides the logits by the square root of the inner width.
INSTANTIATIONS = {"softmax": "scaled_embedded_gaussian", "dot_product": "dot_product"}

SUBSAMPLINGS: dict[tuple[int, ...], str] = {(1, 1, 1): "none", (1, 2, 2): "pool_then_conv"}

USUAL = {"SPATIAL_STRIDES": (1, 2, 2, 2), "SPATIAL_DILATIONS": (1, 1, 1, 1)}


def read(config: Mapping[str, Any], skeleton: Skeleton) -> Said:
    """Return what a configuration of PySlowFast says, in our words."""
    model, resnet = config.get("MODEL", {}), config.get("RESNET", {})
    settings: dict[str, str] = {}
    foreign: list[Foreign] = []
    if model.get("ARCH") in ARCHITECTURES:
        settings["architecture"] = ARCHITECTURES[model["ARCH"]]
    if "STRIDE_1X1" in resnet:
        settings["stride_on"] = "1x1" if resnet["STRIDE_1X1"] else "3x3"
    for name, usual in USUAL.items():
        if name in resnet and (found := _of_slow_pathway(resnet[name])) != [*usual]:
            foreign.append(Foreign("network", f"RESNET.{name} {found}"))
    if config.get("DETECTION", {}).get("ENABLE"):
        foreign.append(Foreign("head", "DETECTION.ENABLE True"))

    blocks, unknown = _read_nonlocal(config.get("NONLOCAL", {}), skeleton)
    return Said(settings | blocks, foreign + unknown, _read_input(config.get("DATA", {})))


def write(settings: Mapping[str, str], skeleton: Skeleton) -> str:
    """Return the part of a configuration that decides what PySlowFast's network computes."""
    arch = {ours: theirs for theirs, ours in reversed(ARCHITECTURES.items())}
    config: dict[str, Any] = {
        "MODEL": {"ARCH": arch[settings["architecture"]], "MODEL_NAME": "ResNet"},
        "RESNET": {
            "DEPTH": skeleton.depth,
            "WIDTH_PER_GROUP": skeleton.stem_channels,
            "STRIDE_1X1": settings["stride_on"] == "1x1",
        },
    }
    if "instantiation" in settings:
        instantiations = {ours: theirs for theirs, ours in INSTANTIATIONS.items()}
        window = {name: [*pool] for pool, name in SUBSAMPLINGS.items()}[settings["subsampling"]]
        config["NONLOCAL"] = {
            "LOCATION": [[[*stage]] for stage in skeleton.places],
            "INSTANTIATION": instantiations[settings["instantiation"]],
            "POOL": [[[*window]] for _ in STAGES],
        }
    return yaml.safe_dump(config, default_flow_style=True, sort_keys=False, width=10_000)


def _read_nonlocal(config: Mapping[str, Any], skeleton: Skeleton) -> tuple[dict[str, str], list[Foreign]]:
    settings: dict[str, str] = {}
    foreign: list[Foreign] = []
    if config.get("INSTANTIATION") in INSTANTIATIONS:
        settings["instantiation"] = INSTANTIATIONS[config["INSTANTIATION"]]
    with_blocks = [stage for stage, places in enumerate(skeleton.places) if places]
    groups = {STAGES[n]: _of_slow_pathway(config["GROUP"])[n] for n in with_blocks if "GROUP" in config}
    foreign += [Foreign("blocks", f"NONLOCAL.GROUP {n} in {stage}") for stage, n in groups.items() if n > 1]
    # Of no pool, None or a window of 1 x 1 x 1.
    windows = [
        tuple(_of_slow_pathway(config["POOL"])[n] or (1, 1, 1)) for n in with_blocks if "POOL" in config
    ]
    names = {SUBSAMPLINGS.get(window, "") for window in windows}
    if len(names) > 1 or "" in names:
        each = ", ".join(f"{[*w]} in {STAGES[n]}" for n, w in zip(with_blocks, windows, strict=True))
        foreign.append(Foreign("blocks", f"NONLOCAL.POOL {each}"))
    elif names:
        settings["subsampling"] = names.pop()
    return settings, foreign


def _read_input(data: Mapping[str, Any]) -> Input:
    reverse = data.get("REVERSE_INPUT_CHANNEL")
    return Input(
        num_frames=data.get("NUM_FRAMES"),
        stride=data.get("SAMPLING_RATE"),
        mean=tuple(data["MEAN"]) if "MEAN" in data else None,
        std=tuple(data["STD"]) if "STD" in data else None,
        channels=None if reverse is None else "BGR" if reverse else "RGB",
    )


def _of_slow_pathway(values: Sequence[Sequence[Any]]) -> list[Any]:
    """Return one value of each stage, which has a list of them, one a pathway."""
    return [stage[0] for stage in values]
