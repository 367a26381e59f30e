"""A network before training, and the data that its config files name."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from gcvideo.cli.parser import CommandParser
from gcvideo.data import KineticsDataModule
from gcvideo.training import VideoClassifier

NUM_CLASSES = 400
"""Classes of the head where no data set says how many."""


def from_configs(
    command: str, configs: Sequence[str], overrides: Sequence[str], *, seed: int
) -> tuple[VideoClassifier, KineticsDataModule]:
    """The freshly initialised classifier of stacked config files, and their data.

    Args:
        command: The command that asks, for messages.
        configs: Config files, as for `gcvideo fit`.
        overrides: Arguments `--model.key value` and `--data.key value`.
        seed: What the weights are drawn from.
    """
    parser = CommandParser(prog=command)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(
        VideoClassifier, "model", instantiate=False, skip={"class_names", "network", "weights"}
    )
    parser.add_argument("--model.network", type=Callable[[int], nn.Module])
    parser.add_argument("--model.weights")
    parser.add_class_arguments(KineticsDataModule, "data")
    parser.set_defaults({"data.root": Path()})
    for unused in ("trainer", "seed_everything", "checkpoint", "safeguard"):
        parser.add_argument(f"--{unused}")
    files = [argument for config in configs for argument in ("--config", config)]
    options = parser.parse_args([*files, *overrides])
    if options.model.network is None:
        raise ValueError(f"{', '.join(configs)}: no model.network in them; add a file of configs/model")
    made = parser.instantiate_classes(options)
    data: KineticsDataModule = made["data"]
    torch.manual_seed(seed)
    network = made["model"]["network"]
    return VideoClassifier(network, class_names(data)).eval(), data


def class_names(data: KineticsDataModule) -> list[str]:
    """The data set's, or numbers where there is no data set: distances do not depend on the head."""
    known = data.num_classes or data.classes_file.is_file() or data.lists["train"].is_file()
    return data.class_names if known else [str(label) for label in range(NUM_CLASSES)]
