"""What context blocks are: by the class that a file or a network names, or else by the layers they have."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from gcvideo.backbones.placement import placed_blocks

PACKAGE = "gcvideo.blocks."

UNKNOWN = "unknown"


class Layers(NamedTuple):
    """The layers of one kind of block, with and without its options."""

    kind: str
    needed: frozenset[str]
    possible: frozenset[str]


def _layers(kind: str, *needed: str, possible: tuple[str, ...] = ()) -> Layers:
    return Layers(kind, frozenset(needed), frozenset({*needed, *possible}))


BRANCHES = [f"transform.transforms.{n}" for n in (0, 1)]

KINDS = (
    _layers(
        "non-local",
        *("context.value", "transform.0", "transform.1"),
        possible=("context.query", "context.key", "context.affinity.score"),
    ),
    _layers("simplified non-local", "context.key", "transform"),
    _layers("simplified non-local", "context.key", "context.value"),
    _layers("squeeze-excitation", "transform.reduce", "transform.expand"),
    _layers(
        "global context",
        *("transform.reduce", "transform.expand"),
        possible=("context.key", "transform.norm"),
    ),
    _layers(
        "global context",  # with both fusions each has a bottleneck
        *(f"{branch}.{layer}" for branch in BRANCHES for layer in ("reduce", "expand")),
        possible=("context.key", *(f"{branch}.norm" for branch in BRANCHES)),
    ),
)


def kinds_of_blocks(state: Mapping[str, Tensor], class_path: str | None) -> dict[str, str]:
    """Return the residual blocks with a context block, as res3.1, and its kind.

    That is the name of a class that is none of ours, or else what its layers tell.
    """
    layers: dict[str, set[str]] = {}
    for key in state:
        place, context, tensor = key.partition(".context.")
        if context:
            layers.setdefault(place, set()).add(tensor.rpartition(".")[0])
    if class_path is not None and not class_path.startswith(PACKAGE):
        return dict.fromkeys(layers, class_path.rpartition(".")[2])
    return {place: _kind(of_block) for place, of_block in layers.items()}


def _kind(layers: set[str]) -> str:
    return next((kind for kind, needed, possible in KINDS if needed <= layers <= possible), UNKNOWN)


def count_blocks(blocks: Mapping[str, str]) -> list[str]:
    """Return how many blocks there are of each kind, and where."""
    places: dict[str, list[str]] = {}
    for place, kind in blocks.items():
        places.setdefault(kind, []).append(place)
    return [
        f"{len(of_kind)} {kind} {'block' if len(of_kind) == 1 else 'blocks'} ({', '.join(of_kind)})"
        for kind, of_kind in places.items()
    ]


def own_class(block: nn.Module) -> str | None:
    """Return the name of a block's class, or None of one of ours, whose layers and settings tell its kind."""
    return None if type(block).__module__.startswith(PACKAGE) else type(block).__name__


def same_class(block: nn.Module, class_path: str) -> bool:
    """Tell whether a block may be of the class that goes by this path."""
    own = own_class(block)
    if own is None and class_path.startswith(PACKAGE):
        return True
    return type(block).__name__ == class_path.rpartition(".")[2]


def refuse_other_block(network: nn.Module, class_path: str, file: Path) -> None:
    """Refuse context blocks of another class, whose tensors may have the same names and shapes."""
    for name, block in placed_blocks(network).items():
        if not same_class(block, class_path):
            raise ValueError(
                f"{name} is a {type(block).__name__}, but {file} was trained with {class_path}; set "
                "block.class_path to that, or start the blocks fresh with weights.new: [blocks]"
            )
