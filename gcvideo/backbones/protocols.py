"""What a network shows, so that more can be done with it than train and test it.

A network of one's own needs neither Protocol to be trained and tested. What takes it apart asks for one of
them, and says so.
"""

import inspect
from collections.abc import Callable, Mapping
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
        or has them as `res_blocks`, as pytorchvideo's stages do. An nn.ModuleList is never called, so that
        Grad-CAM has nothing to look at: it is for parts that pass other things than feature maps [B C T H W].
        """
        ...


class Headed(Protocol):
    """A network that shows its last layer, which alone knows the classes.

    It starts fresh for another list of classes. Of a network that does not show it, what stands in none of
    its stages does.
    """

    @property
    def head(self) -> nn.Module:
        """Return the last layer."""
        ...


class Featured(Protocol):
    """A network that shows what its last layer reads."""

    def features(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B C"]:
        """Return the features of each clip."""
        ...


def network_for(make: Callable[[int], nn.Module], num_classes: int) -> nn.Module:
    """Return the network that is made for a number of classes.

    Raises:
        ValueError: What makes it takes no such number, as torchvision's functions.
    """
    try:
        inspect.signature(make).bind(num_classes)
    except TypeError as error:
        name = getattr(make, "__name__", str(make))
        raise ValueError(
            f"model.network {name} takes no number of classes as its first argument ({error}); name a class "
            "whose first argument it is, as gcvideo.backbones.MViT, or an adapter of your own "
            "(scripts/docs/architecture.md)"
        ) from error
    return make(num_classes)


def shown_stages(network: nn.Module) -> dict[str, nn.Module] | None:
    """Return the stages of a Staged network by name, or None of another.

    Other things are called stages, too, as a sequence or a number.
    """
    stages = getattr(network, "stages", None)
    return dict(stages.items()) if isinstance(stages, Mapping | nn.ModuleDict) else None


def shown_head(network: nn.Module) -> nn.Module | None:
    """Return the last layer of a Headed network, or None of another."""
    head = getattr(network, "head", None)
    return head if isinstance(head, nn.Module) else None


def require_clip(
    clip: Float[Tensor, "B 3 T H W"], size: tuple[int, int, int], *, network: str, settings: str
) -> None:
    """Refuse a clip of another size than the one, T x H x W, that a network was made for.

    Args:
        clip: The clip.
        size: What the network reads.
        network: Its name.
        settings: What it was made for it by.
    """
    if tuple(clip.shape[2:]) != size:
        found, expected = (" x ".join(map(str, of)) for of in (clip.shape[2:], size))
        raise ValueError(
            f"{network} was made for clips of {expected} and is given {found}; set its {settings}, or "
            "data.clip.num_frames and the crop_size of transform and views"
        )


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
