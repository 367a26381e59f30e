"""What a network shows, so that more can be done with it than train and test it.

A network of one's own needs neither Protocol to be trained and tested. What takes it apart asks for one of
them, and says so.
"""

from collections.abc import Mapping
from typing import Protocol

from jaxtyping import Float
from torch import Tensor, nn

Stages = Mapping[str, nn.Module] | nn.ModuleDict


class Staged(Protocol):
    """A network that shows the parts between its input and its head.

    Context blocks are placed by them, activations are computed again, weights are frozen and learning rates
    fall by them, and Grad-CAM looks at what leaves them.
    """

    @property
    def stages(self) -> Stages:
        """Return its parts by name, in the order in which a clip passes them: stem, res2, res3, ...

        The head is not among them.

        A part whose residual blocks can be named, as `res3.1`, is an nn.Sequential or nn.ModuleList of them,
        or has them as `res_blocks`, as pytorchvideo's stages do.
        """
        ...


class Featured(Protocol):
    """A network that shows what its last layer reads."""

    def features(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B C"]:
        """Return the features of each clip."""
        ...


def shown_stages(network: nn.Module) -> dict[str, nn.Module] | None:
    """Return the stages of a Staged network by name, or None of another.

    Other things are called stages, too, as a sequence or a number.
    """
    stages = getattr(network, "stages", None)
    return dict(stages.items()) if isinstance(stages, Mapping | nn.ModuleDict) else None


def chosen_stages(network: nn.Module, names: list[str], *, asker: str) -> dict[str, nn.Module]:
    """Return the stages of these names, for `asker`.

    Raises:
        ValueError: The network shows no stages, or none of a name.
    """
    stages = shown_stages(network)
    if stages is None:
        raise ValueError(
            f"{asker} takes a network by its stages, and {type(network).__name__} does not show them; give "
            "it a property `stages`, a mapping from names to modules in order, as {'stem': ..., 'res2': ...}"
        )
    for name in names:
        if name not in stages:
            raise ValueError(f"{asker} names {name!r}; {type(network).__name__} has {', '.join(stages)}")
    return {name: stages[name] for name in names}


def pathways(stage: nn.Module) -> dict[str, nn.Module]:
    """Return the pathways of a stage by what stands before its blocks' names.

    A SlowFast network has a slow one and, `fast.`, a fast one.
    """
    both = getattr(stage, "multipathway_blocks", None)
    return {"": stage} if both is None else dict(zip(("", "fast."), both, strict=True))


def residual_blocks(stage: nn.Module) -> nn.Sequential | nn.ModuleList:
    """Return the residual blocks of a stage of one pathway; an empty list if it shows none, as a stem."""
    blocks = getattr(stage, "res_blocks", stage)
    return blocks if isinstance(blocks, nn.Sequential | nn.ModuleList) else nn.ModuleList()


def blocks_of(stage: nn.Module) -> list[nn.Module]:
    """Return what a clip passes in a stage: its residual blocks, or a pathway that shows none as a whole."""
    return [block for part in pathways(stage).values() for block in residual_blocks(part) or [part]]


def blocks_by_name(stages: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Return all residual blocks of stages, named as `res4.3`."""
    return {
        f"{pathway}{stage_name}.{index}": block
        for stage_name, stage in stages.items()
        for pathway, part in pathways(stage).items()
        for index, block in enumerate(residual_blocks(part))
    }
