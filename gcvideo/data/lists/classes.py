"""Whose class is which: the classes of a data set beside those of a network that was trained before."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

MOST_NAMED = 3


class Trained(NamedTuple):
    """The classes that a network knows, in the order of its outputs."""

    names: Sequence[str]
    checkpoint: Path


class Numbering(NamedTuple):
    """How the classes of a data set are numbered for a network."""

    names: list[str]
    """The class of every output."""
    output: Int64[Tensor, " K"] | None
    """The output of every label of the data set; None where they are the same."""


def numbers(num_classes: int) -> list[str]:
    """Return the names of classes that have none."""
    return [str(label) for label in range(num_classes)]


def match(own: Sequence[str] | None, trained: Trained, *, source: str) -> Numbering:
    """Give the classes of data the numbers of a trained network: by name, or as they are if one has none.

    Args:
        own: The data set's class names in the order of its labels; None where nothing tells them.
        trained: The network's.
        source: Where the data set's come from, for messages.

    Raises:
        ValueError: The names are others, or there are more or fewer; the first that differ are listed.
    """
    network = list(trained.names)
    if own is None or list(own) == network:
        return Numbering(network, None)
    if len(own) == len(network) and network == numbers(len(network)):
        return Numbering(list(own), None)
    if len(own) == len(network) and list(own) == numbers(len(own)):
        return Numbering(network, None)
    if set(own) != set(network) or len(own) != len(network):
        raise ValueError(
            f"{source} has {len(own)} classes, and {trained.checkpoint} knows {len(network)}: "
            f"{_only('in the data', own, network)}, {_only('in the checkpoint', network, own)}; use the "
            "class list that it was trained with, or start from its weights with a new head: "
            "--model.weights.path, --model.weights.new [head]"
        )
    place = {name: output for output, name in enumerate(network)}
    return Numbering(network, torch.tensor([place[name] for name in own]))


def _only(where: str, names: Sequence[str], others: Sequence[str]) -> str:
    """Return the first names that others do not have."""
    apart = [name for name in names if name not in set(others)]
    more = f" and {len(apart) - MOST_NAMED} more" if len(apart) > MOST_NAMED else ""
    return f"only {where} {', '.join(map(repr, apart[:MOST_NAMED]))}{more}" if apart else f"none only {where}"
