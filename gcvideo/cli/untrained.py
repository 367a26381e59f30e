"""A network before training, and the data that its config files name."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from gcvideo.cli.arguments.complexity import NUM_CLASSES
from gcvideo.cli.clip_size import add_clip_and_size, settle_clip_and_size
from gcvideo.cli.parser import CommandParser
from gcvideo.cli.run_classes import settle
from gcvideo.cli.run_options import run_options
from gcvideo.cli.run_task import task_defaults
from gcvideo.data import VideoDataModule
from gcvideo.training import VideoClassifier

log = logging.getLogger(__name__)


class Configured(NamedTuple):
    """What config files say of a network and of its data; nothing of it has been read from files of data.

    Args:
        network: Builds the network for a number of classes.
        channels_last: Whether its activations are kept in channels_last_3d order.
        data: The data module.
        names_data: Whether the files say anything of the data.
    """

    network: Callable[[int], nn.Module]
    channels_last: bool
    data: VideoDataModule
    names_data: bool


def read_configs(command: str, configs: Sequence[str], overrides: Sequence[str]) -> Configured:
    """Read the model and the data of stacked config files, a run's own config.yaml among them.

    Args:
        command: The command that asks, for messages.
        configs: Config files, as for `gcvideo fit`.
        overrides: Arguments `--model.key value` and `--data.key value`.
    """
    files = [argument for config in configs for argument in ("--config", config)]
    settled = settle([*files, *overrides])
    parser = CommandParser(prog=command)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(
        settled.model, "model", instantiate=False, skip={"class_names", "network", "weights"}
    )
    parser.add_argument("--model.network", type=Callable[[int], nn.Module])
    parser.add_argument("--model.weights")
    parser.add_class_arguments(settled.data, "data")
    parser.set_defaults({"data.root": Path(), **task_defaults(settled.task, ("model", "data"))})
    add_clip_and_size(parser)
    for other in sorted(run_options() - {"config", "model", "data", "clip", "size"}):
        parser.add_argument(f"--{other}")
    options = parser.parse_args(settled.arguments)
    settle_clip_and_size(options, settled.arguments)
    if options.model.network is None:
        raise ValueError(f"{', '.join(configs)}: no model.network in them; add a file of configs/model")
    if options.model.weights is not None:
        log.info("model.weights is not loaded: the network is taken as it is initialised")
    made = parser.instantiate_classes(options)
    return Configured(
        network=made["model"]["network"],
        channels_last=options.model.channels_last,
        data=made["data"],
        names_data=options.data != parser.get_defaults().data,
    )


def without_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a command's own arguments, and those that override keys of config files."""
    own: list[str] = []
    overrides: list[str] = []
    chosen = own
    for argument in arguments:
        if argument.startswith("-"):
            chosen = overrides if argument.startswith(("--model.", "--data.")) else own
        chosen.append(argument)
    return own, overrides


def from_configs(
    command: str, configs: Sequence[str], overrides: Sequence[str], *, seed: int
) -> tuple[VideoClassifier, VideoDataModule]:
    """Return the classifier of config files (`read_configs`), its weights drawn from `seed`, and its data."""
    configured = read_configs(command, configs, overrides)
    data = configured.data
    names = class_names(data) or [str(label) for label in range(NUM_CLASSES)]  # of which no distance depends
    torch.manual_seed(seed)
    model = VideoClassifier(configured.network, names, channels_last=configured.channels_last)
    return model.eval(), data


def class_names(data: VideoDataModule) -> list[str] | None:
    """Return the data set's, or None where there is no data set."""
    lists = data.split_lists
    known = lists.num_classes or lists.classes.is_file() or lists.files["train"].is_file()
    return data.class_names if known else None
