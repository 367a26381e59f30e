"""State dicts from one naming to another, by the tables of `namings`."""

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from gcvideo.backbones.checkpoints.namings import NAMINGS, Naming

STAGE_NAMES = ("res2", "res3", "res4", "res5")
LARGEST_STAGE = 36
"""Residual blocks of res4 at depth 152, the deepest network of the field."""


@cache
def layers(format: str) -> dict[str, str]:
    """Return every layer of the largest network of a naming: theirs to ours."""
    naming = NAMINGS[format]
    inside = {
        f"{theirs}.{part.format(i=index)}": f"{ours}.{index}.{our_part}"
        for theirs, ours in zip(naming.stages, STAGE_NAMES, strict=True)
        for part, our_part in naming.inside.items()
        for index in range(LARGEST_STAGE)
    }
    return naming.outside | inside


@cache
def layers_of_ours(format: str) -> dict[str, str]:
    """Return the same table from right to left; of two names for one layer, the first."""
    return {ours: theirs for theirs, ours in reversed(layers(format).items())}


class Named(NamedTuple):
    """A state dict under the names that stand between two namings."""

    state: dict[str, Tensor]
    unknown: dict[str, Tensor]
    """What the naming has no name for, under its own."""
    not_ours: list[str]
    """Keys that belong to no classifier."""


def read_naming(state: Mapping[str, Tensor], format: str) -> Named:
    """Return a state dict of the naming `format` under our names and with our linear maps.

    A linear map of a context block, a convolution of size 1 elsewhere, loses its position axes. Its bias is 0
    where it has none, since a batch norm follows.
    """
    naming, table = NAMINGS[format], layers(format)
    named = Named({}, {}, [])
    for key, tensor in state.items():
        ours = _renamed(key, table)
        if naming.not_ours and key.startswith(naming.not_ours):
            named.not_ours.append(key)
        elif ours is not None:
            named.state[ours] = _without_position_axes(ours, tensor) if naming.position_axes else tensor
        else:
            named.unknown[key] = tensor
    for layer, _ in _unbiased(named.state, naming):
        named.state.setdefault(f"{layer}.bias", torch.zeros(len(named.state[f"{layer}.weight"])))
    return named


def write_naming(state: Mapping[str, Tensor], format: str) -> dict[str, Tensor]:
    """Return the inverse: a state dict under our names, named as `format` does.

    A bias that the naming has no place for moves into the batch norm behind it: its running mean m becomes
    m - b, since W y + b - m = W y - (m - b).

    Raises:
        ValueError: The naming has no name for a layer, or is of images and a kernel looks along time.
    """
    naming, table = NAMINGS[format], layers_of_ours(format)
    state = dict(state)
    for layer, norm in _unbiased(state, naming):
        state[f"{norm}.running_mean"] = state[f"{norm}.running_mean"] - state.pop(f"{layer}.bias")
    written, nameless = {}, []
    for key, tensor in state.items():
        theirs = _renamed(key, table)
        if theirs is None:
            nameless.append(key.rpartition(".")[0])
        else:
            written[theirs] = _with_position_axes(key.rpartition(".")[0], tensor, naming)
    if nameless:
        raise ValueError(
            f"{naming.title} has no name for {', '.join(sorted({*nameless}))}; choose another naming, as "
            "pytorchvideo"
        )
    return written


def _renamed(key: str, table: Mapping[str, str]) -> str | None:
    """Return a tensor's name by a table of layers, or None.

    The table knows its layer, or one above that stands for all below it.
    """
    layer, _, leaf = key.rpartition(".")
    if layer in table:
        return f"{table[layer]}.{leaf}"
    starts = (key[: dot.end()] for dot in re.finditer(r"\.", key))
    known = next((start for start in starts if start in table), None)
    return None if known is None else table[known] + key.removeprefix(known)


def _unbiased(state: Mapping[str, Tensor], naming: Naming) -> list[tuple[str, str]]:
    """Return the layers of the state dict that have no bias in this naming, each with the norm behind it."""
    return [
        (f"{block}.{part}", f"{block}.{norm}")
        for part, norm in naming.unbiased.items()
        for block in [key.removesuffix(f".{part}.weight") for key in state if key.endswith(f".{part}.weight")]
        if f"{block}.{norm}.running_mean" in state
    ]


def _without_position_axes(key: str, tensor: Tensor) -> Tensor:
    layer = key.rpartition(".")[0]
    if ".context." not in layer or tensor.ndim < 2:
        return tensor
    return tensor.flatten() if layer.endswith(".norm") else tensor.flatten(1)


def _with_position_axes(layer: str, tensor: Tensor, naming: Naming) -> Tensor:
    if ".context." in layer and (tensor.ndim == 2 or (tensor.ndim == 1 and layer.endswith(".norm"))):
        return tensor.reshape(*tensor.shape, *(1,) * naming.position_axes)
    if naming.image and tensor.ndim == 5:
        if tensor.shape[2] > 1:
            raise ValueError(
                f"{naming.title} names 2-D networks, but {layer} looks at {tensor.shape[2]} frames; "
                "choose a naming of videos"
            )
        return tensor.squeeze(2)
    return tensor
