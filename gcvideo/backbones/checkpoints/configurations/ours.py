"""Our own configurations.

They are hyperparameters of network and data, in every checkpoint of `gcvideo fit`; in a converted file the
few that tell what its network computes, as JSON.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gcvideo.backbones.checkpoints.configurations.said import Input, Said
from gcvideo.backbones.checkpoints.settings import ARGUMENTS

CONVERTED = "gcvideo"
"""What a converted file calls its settings."""


def hyperparameters(record: Mapping[str, Any], name: str = "hyper_parameters") -> Mapping[str, Any]:
    """Return a file's hyperparameters; other people's, which may be anything, are none."""
    values = record.get(name, {})
    if isinstance(values, str) and values.startswith("{"):
        values = json.loads(values)
    return values if isinstance(values, Mapping) else {}


def read(record: Mapping[str, Any]) -> Said:
    """Return what the hyperparameters of a checkpoint or of a converted file say."""
    model, data = hyperparameters(record), hyperparameters(record, "datamodule_hyper_parameters")
    network = model.get("network")
    block: str | None = None
    if isinstance(model.get(CONVERTED), Mapping):
        settings, data = model[CONVERTED]["settings"], model[CONVERTED]["input"]
        block = model[CONVERTED].get("block")
    else:
        settings = network.get("init_args") if isinstance(network, Mapping) else None
        made = settings.get("block") if isinstance(settings, Mapping) else None
        block = made.get("class_path") if isinstance(made, Mapping) else None
    clip = data.get("clip") or {}
    said = {name: value for name, value in _leaves(settings) if name in ARGUMENTS}
    if isinstance(settings, Mapping) and settings.get("fast_placement"):
        said.pop("position", None)  # which may be another in each pathway
    return Said(
        settings=said,
        foreign=[],
        input=Input(
            num_frames=clip.get("num_frames"),
            stride=clip.get("stride"),
            mean=tuple(data["mean"]) if data.get("mean") else None,
            std=tuple(data["std"]) if data.get("std") else None,
            frame_rate=_frame_rate(record),
        ),
        block=block if isinstance(block, str) else None,
    )


def network_class(record: Mapping[str, Any]) -> str | None:
    """Return the class_path of the network that a checkpoint of `gcvideo fit` is of; None of other files."""
    network = hyperparameters(record).get("network")
    class_path = network.get("class_path") if isinstance(network, Mapping) else None
    return class_path if isinstance(class_path, str) else None


def write(
    settings: Mapping[str, str], of: Input, *, block: str | None, class_names: list[str]
) -> dict[str, str]:
    """Return what `read` gives back, with the names of the classes."""
    clip = {"num_frames": of.num_frames, "stride": of.stride}
    converted = {"settings": settings, "input": {"clip": clip, "mean": of.mean, "std": of.std}}
    if block is not None:
        converted["block"] = block
    return {"hyper_parameters": json.dumps({CONVERTED: converted, "class_names": class_names})}


def _frame_rate(record: Mapping[str, Any]) -> float | None:
    """Return what the state of a data module says, which stands under the name of its class."""
    rates = (part.get("frame_rate") for part in record.values() if isinstance(part, Mapping))
    return next((rate for rate in rates if isinstance(rate, float)), None)


def _leaves(values: Any) -> Iterator[tuple[str, str]]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from [(key, value)] if isinstance(value, str) else _leaves(value)
