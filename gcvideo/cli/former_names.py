"""Settings under the names that they had in configurations of older runs."""

from collections.abc import Mapping
from typing import Any

MOVED = {
    "momentum": "optimizer.init_args.momentum",
    "weight_decay": "optimizer.init_args.weight_decay",
    "schedule": "lr_schedule",
    "label_smoothing": "loss.init_args.label_smoothing",
}
"""Keys of `model`, and what they are called now."""


def with_current_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with the settings of older ones where they stand now."""
    model = config.get("model")
    if not isinstance(model, Mapping) or not model.keys() & MOVED.keys():
        return dict(config)
    current = {key: value for key, value in model.items() if key not in MOVED}
    if "schedule" in model:
        current["lr_schedule"] = model["schedule"]
    if "label_smoothing" in model:
        smoothing = {"label_smoothing": model["label_smoothing"]}
        current["loss"] = {"class_path": "torch.nn.CrossEntropyLoss", "init_args": smoothing}
    of_sgd = {name: model[name] for name in ("momentum", "weight_decay") if name in model}
    if of_sgd:
        current["optimizer"] = {"class_path": "gcvideo.training.NesterovSGD", "init_args": of_sgd}
    return {**config, "model": current}
