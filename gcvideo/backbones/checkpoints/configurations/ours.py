"""Our own configurations: hyperparameters of network and data, in every checkpoint of `gcvideo fit`; in a
converted file the few that tell what its network computes, as JSON."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gcvideo.backbones.checkpoints.configurations.said import Input, Said
from gcvideo.backbones.checkpoints.settings import ARGUMENTS


def read(record: Mapping[str, Any]) -> Said:
    """Return what the hyperparameters of a checkpoint or of a converted file say."""
    model, data = (
        json.loads(values) if isinstance(values, str) else values
        for values in (record.get("hyper_parameters", {}), record.get("datamodule_hyper_parameters", {}))
    )
    settings = dict(_leaves(model.get("network", {}).get("init_args", {}))) or model
    clip = data.get("clip") or {}
    return Said(
        settings={name: value for name, value in settings.items() if name in ARGUMENTS},
        foreign=[],
        input=Input(
            num_frames=clip.get("num_frames"),
            stride=clip.get("stride"),
            mean=tuple(data["mean"]) if data.get("mean") else None,
            std=tuple(data["std"]) if data.get("std") else None,
        ),
    )


def write(settings: Mapping[str, str], of: Input) -> dict[str, str]:
    """Return what `read` gives back."""
    clip = {"num_frames": of.num_frames, "stride": of.stride}
    return {
        "hyper_parameters": json.dumps(settings),
        "datamodule_hyper_parameters": json.dumps({"clip": clip, "mean": of.mean, "std": of.std}),
    }


def _leaves(values: Any) -> Iterator[tuple[str, str]]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from [(key, value)] if isinstance(value, str) else _leaves(value)
