"""Whose weights a file holds, and of which network."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from gcvideo.backbones.basic import BLOCKS_OF_DEPTH
from gcvideo.backbones.checkpoints.configurations import Foreign, Input, Skeleton, read_configuration
from gcvideo.backbones.checkpoints.files import Checkpoint
from gcvideo.backbones.checkpoints.kinds import count_blocks, kinds_of_blocks
from gcvideo.backbones.checkpoints.namings import NAMINGS, Naming
from gcvideo.backbones.checkpoints.others import other_network
from gcvideo.backbones.checkpoints.renaming import STAGE_NAMES, Named, read_naming
from gcvideo.backbones.checkpoints.settings import GLOBAL_CONTEXT, NON_LOCAL
from gcvideo.backbones.checkpoints.variants import refuse_variants
from gcvideo.backbones.families import FAMILIES
from gcvideo.backbones.resnet import ARCHITECTURES

BLOCKS: dict[int, tuple[int, ...]] = {
    **BLOCKS_OF_DEPTH,
    **{50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)},
}
"""Residual blocks in res2..res5, by depth."""

FRAMEWISE: tuple[str, ...] = ("c2d_nopool", "c2d_unpadded")
"""MMAction2's 2-D networks for video: they see frame by frame, and their heads know classes of videos."""


class Recognised(NamedTuple):
    """Weights of a residual network under the names between two namings, and what they tell of it."""

    format: str
    named: Named
    depth: int | None
    """None for blocks that no network of 18, 34, 50, 101 or 152 layers has."""
    skeleton: Skeleton
    width: float
    num_classes: int | None
    blocks: dict[str, str]
    """Residual blocks with a context block, as res3.1, and its kind."""
    block: str | None
    """The class_path of these context blocks, where the file names it."""
    settings: dict[str, tuple[str, ...]]
    """What the file tells of settings that no weight has: the values that may be meant, the usual first."""
    foreign: list[Foreign]
    input: Input
    folded: bool
    """Whether batch norms are folded into convolutions."""
    wrappers: list[str]

    @property
    def image(self) -> bool:
        """Tell whether the network is 2-D."""
        return self.named.state["stem.conv.weight"].ndim == 4

    @property
    def architecture(self) -> str | None:
        """Return the architecture by its configuration, or else the usual one with such kernels.

        None for networks of images and for others.
        """
        return next(iter(self.settings.get("architecture", ())), None)

    def __str__(self) -> str:
        parts = [
            f"{NAMINGS[self.format].title} naming",
            " ".join(
                filter(
                    None,
                    [
                        " or ".join(self.settings.get("architecture", ()))
                        or ("2-D" if self.image else "unknown"),
                        f"R{self.depth}" if self.depth else "network of an unknown depth",
                        f"at width {self.width:g}" if self.width != 1 else "",
                    ],
                )
            ),
            f"{self.num_classes} classes" if self.num_classes is not None else "no head",
        ]
        parts += count_blocks(self.blocks)
        parts += [
            f"{name} {values[0]}"
            for name, values in self.settings.items()
            if len(values) == 1 and name != "architecture"
        ]
        parts += [setting for _, setting in self.foreign]
        if self.input.num_frames and self.input.stride:
            parts.append(f"clips of {self.input.num_frames} x {self.input.stride}")
        parts += ["batch norms folded"] if self.folded else []
        parts += [f"inside {', '.join(self.wrappers)}"] if self.wrappers else []
        return ", ".join(parts)


def recognise(checkpoint: Checkpoint, *, format: str = "auto") -> Recognised:
    """Return whose naming the weights have, and of which network they are.

    Raises:
        ValueError: No naming, or not the one that was asked, has names for them.
    """
    # Choose the naming.
    best, named = _closest(checkpoint.state, format)
    if "stem.conv.weight" not in named.state:
        if (other := other_network(checkpoint.state)) is not None:
            raise ValueError(f"{checkpoint.path}: {other.describe(checkpoint.state)}; {other.advice}")
        refuse_variants(checkpoint)
        expected = ", ".join(dict.fromkeys(naming.title for naming in NAMINGS.values()))
        some = ", ".join(list(checkpoint.state)[:3])
        asked_for = "naming" if format == "auto" else f"{format} naming"
        raise ValueError(
            f"{checkpoint.path}: its {len(checkpoint.state)} keys have no {asked_for} that is known here "
            f"({some}, ...); expected a residual network as named by {expected}"
        )
    # Read the network from its tensors, and beside them the file's configuration.
    named.not_ours.extend(checkpoint.outside)
    state, stem = named.state, named.state["stem.conv.weight"]
    head = state.get("head.proj.weight")
    skeleton = _skeleton(state, best)
    said = read_configuration(checkpoint, skeleton)
    blocks = kinds_of_blocks(state, said.block)
    # The name of a SlowFast network tells the clip of its slow pathway, which is not what it reads.
    clip_in_name = {} if "slowfast" in skeleton.architectures else _clip_in_name(checkpoint.path)
    possible = _possible(state, NAMINGS[best], skeleton, kinds=set(blocks.values()))
    return Recognised(
        format=best,
        named=named,
        depth=skeleton.depth if BLOCKS.get(skeleton.depth) == tuple(skeleton.num_blocks) else None,
        skeleton=skeleton,
        width=len(stem) / 64,
        num_classes=None if head is None else len(head),
        blocks=blocks,
        block=said.block,
        settings=possible | {name: (said.settings[name],) for name in possible if name in said.settings},
        foreign=said.foreign,
        input=said.input if said.input.num_frames else said.input._replace(**clip_in_name),
        folded="stem.norm.weight" not in state and "stem.conv.bias" in state,
        wrappers=checkpoint.wrappers,
    )


def is_residual(state: Mapping[str, Tensor]) -> bool:
    """Tell whether a naming has names for the state dict."""
    return "stem.conv.weight" in _closest(state, "auto")[1].state


def _closest(state: Mapping[str, Tensor], format: str) -> tuple[str, Named]:
    """Return the naming that has names for most of the state dict, and the state dict under them."""
    asked = [name for name in NAMINGS if format == "auto" or name.startswith(format)]
    readings = {name: read_naming(state, name) for name in asked}
    return max(readings.items(), key=lambda reading: len(reading[1].state))


def _skeleton(state: Mapping[str, Tensor], format: str) -> Skeleton:
    stages = [[key.split(".") for key in state if key.startswith(stage)] for stage in STAGE_NAMES]
    return Skeleton(
        architectures=_architectures(state, format),
        stem_channels=len(state["stem.conv.weight"]),
        num_blocks=[len({key[1] for key in stage if "conv_b" in key}) for stage in stages],
        places=[sorted({int(key[1]) for key in stage if "context" in key}) for stage in stages],
        layers_of_block=3 if any("conv_c" in key for stage in stages for key in stage) else 2,
    )


def _architectures(state: Mapping[str, Tensor], format: str) -> list[str]:
    """Return the architectures whose names and kernels the state dict has, the usual one first."""
    named = NAMINGS[format].settings.get("architecture", ())
    if family := _family(state):
        return [family] if family in named else []
    layers = ("stem.conv", "res2.0.branch2.conv_a", "res4.0.branch2.conv_a")
    kernels = [state[f"{layer}.weight"] for layer in layers if f"{layer}.weight" in state]
    if all(kernel.ndim == 4 for kernel in kernels):
        return [*FRAMEWISE] if format.startswith("mmaction2") else []
    lengths = tuple(kernel.shape[2] for kernel in kernels if kernel.ndim == 5)
    return [name for name in named if name in ARCHITECTURES and _lengths(name) == lengths]


def _family(state: Mapping[str, Tensor]) -> str | None:
    """Return which other family than that of Slow-only, I3D and C2D a state dict is of."""
    second = state.get("res2.0.branch2.conv_b.weight")
    if "res2.0.branch2.conv_b.conv_t.weight" in state:
        return "r2plus1d"
    if any(key.startswith("fast.") for key in state):
        return "slowfast"
    return "csn" if second is not None and second.ndim == 5 and second.shape[1] < len(second) else None


def _lengths(architecture: str) -> tuple[int, ...]:
    """Return how many frames the stem and the first blocks of res2 and res4 look at."""
    table = ARCHITECTURES[architecture]
    return table.stem_kernel[0], table.first_kernels[0][0][0], table.first_kernels[2][0][0]


def _possible(
    state: Mapping[str, Tensor], naming: Naming, skeleton: Skeleton, *, kinds: set[str]
) -> dict[str, tuple[str, ...]]:
    """Return what the settings of a network of this naming can be, without its configuration."""
    relevant = ["position"] if kinds else []
    if skeleton.layers_of_block == 3 and not {*skeleton.architectures} & FAMILIES.keys():
        relevant.append("stride_on")
    relevant += NON_LOCAL if "non-local" in kinds else []
    relevant += GLOBAL_CONTEXT if kinds & {"global context", "squeeze-excitation"} else []
    possible = {name: naming.settings[name] for name in relevant if name in naming.settings}
    if "instantiation" in possible:  # one that embeds nothing has no query
        embeds = any(key.endswith("context.context.query.weight") for key in state)
        possible["instantiation"] = tuple(
            value for value in possible["instantiation"] if (value == "gaussian") != embeds
        )
    if "squeeze-excitation" in kinds:  # which global context without its norm could be, too
        possible["fusion"] = tuple(sorted(possible["fusion"], key=lambda value: value != "scale"))
    if skeleton.architectures:
        possible["architecture"] = tuple(skeleton.architectures)
    return possible


def _clip_in_name(path: Path) -> dict[str, int]:
    """Return frames and stride, as in SLOW_8x8_R50.pyth."""
    found = re.search(r"(?<![\dx])(\d{1,2})x(\d{1,2})(?=\D|$)", path.name)
    return {"num_frames": int(found[1]), "stride": int(found[2])} if found else {}
