"""The forms that a configuration may have: with or without classes of its own, by the names of older runs."""

from collections.abc import Mapping
from typing import Any

SECTIONS = ("model", "data")
"""Those that may name a class."""
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


def without_classes(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration whose sections hold their settings alone."""
    return {**config, **{name: of.get("init_args") or {} for name, of in sections_with_class(config).items()}}


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as two can be compared: settings by the names of now, and classes."""
    classes = sections_with_class(config)
    names = {f"{section} class": named["class_path"] for section, named in classes.items()}
    return with_current_names(without_classes(config)) | names


def with_classes(config: Mapping[str, Any], classes: Mapping[str, type]) -> dict[str, Any]:
    """Return a configuration whose sections name these classes."""
    named = dict(config)
    for section, kind in classes.items():
        if section in config:
            named[section] = {"class_path": class_path(kind), "init_args": config[section]}
    return named


def class_path(kind: type) -> str:
    """Return the name by which a class is imported."""
    return f"{kind.__module__}.{kind.__qualname__}"


def sections_with_class(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the sections of a configuration that name their class."""
    sections = {section: config.get(section) for section in SECTIONS}
    return {name: of for name, of in sections.items() if isinstance(of, Mapping) and "class_path" in of}
