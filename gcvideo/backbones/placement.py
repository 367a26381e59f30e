"""Where context blocks stand in a built residual network.

Placing happens after the network exists, because pytorchvideo initialises everything that it is given
and would wipe the zero-initialisation that makes an additive block start as the identity. Every
state-dict key of the network stays as it was; every new one has `.context.` in it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypedDict, get_args

from jaxtyping import Float
from pytorchvideo.models.resnet import ResBlock
from torch import Tensor, nn
from torchvision.models.video.resnet import BasicBlock

from gcvideo.backbones.protocols import Stages, blocks_by_name, pathways, residual_blocks, shown_stages
from gcvideo.blocks import ContextBlock

BlockMaker = Callable[[int], ContextBlock] | Callable[[int], nn.Module]
"""Makes a context block for a number of channels: a class whose other arguments are bound. Any module will do
that leaves the shape of its input as it is; what looks at attention takes ContextBlocks alone."""

Blocks = list[int] | int | Literal["all"]
Position = Literal["after_add", "after_1x1x1"]


class PlacementMapping(TypedDict, total=False):
    """A placement as a mapping, as a configuration has it."""

    res2: Blocks
    res3: Blocks
    res4: Blocks
    res5: Blocks
    position: Position


@dataclass(frozen=True)
class Placement:
    """Which residual blocks carry a context block, in the paper's words.

    The paper's "5 blocks" are `{res3: 2, res4: 3, position: after_add}`, at depth 50 the same as
    `{res3: [1, 3], res4: [1, 3, 5], position: after_add}`; its "all" is
    `{res3: all, res4: all, res5: all, position: after_1x1x1}` (c3-c5: 13 blocks at depth 50).

    Args:
        res2: Residual blocks of stage c2: which, counted from 0; or how many, as far apart as in
            video-nonlocal-net (3 of 6 are 1, 3, 5, and 3 of 23 are 6, 13, 20); or "all".
        res3: The same of stage c3.
        res4: The same of stage c4.
        res5: The same of stage c5.
        position: after_add puts the block behind the whole residual block (its addition and ReLU);
            after_1x1x1 puts it behind the last 1x1x1 convolution (and its norm; of a basic block the last
            3x3), before the addition.
    """

    res2: Blocks = field(default_factory=list)
    res3: Blocks = field(default_factory=list)
    res4: Blocks = field(default_factory=list)
    res5: Blocks = field(default_factory=list)
    position: Position = "after_add"

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> "Placement":
        """Return the placement that a mapping says, as in a configuration: `{"res3": [1, 3]}`.

        Raises:
            ValueError: It has other names, a stage is neither "all" nor a list, or the position is another.
        """
        names = [argument.name for argument in fields(cls)]
        for name, value in arguments.items():
            if name not in names:
                raise ValueError(f"placement names {name}; expected {', '.join(names)}")
            if name == "position" and value not in get_args(Position):
                expected = " or ".join(get_args(Position))
                raise ValueError(f"placement.position is {value!r}; expected {expected}")
            if name != "position" and value != "all" and type(value) not in (list, int):
                raise ValueError(
                    f"placement.{name} is {value!r}; expected a list of residual blocks, as [1, 3], how many "
                    "of them, or all"
                )
        return cls(**arguments)

    @property
    def stages(self) -> list[str]:
        """Return the stages that carry context blocks."""
        return [stage for stage in ("res2", "res3", "res4", "res5") if getattr(self, stage)]

    def indices(self, stage: str, depth: int) -> list[int]:
        """Return which of the `depth` residual blocks of `stage` carry a context block."""
        return chosen_blocks(getattr(self, stage), depth, stage=stage)


def chosen_blocks(asked: Blocks, depth: int, *, stage: str) -> list[int]:
    """Return which of the `depth` residual blocks of a stage are meant.

    Raises:
        ValueError: The stage does not have so many, or the one that is named, or one is named twice.
    """
    if asked == "all":
        return list(range(depth))
    if isinstance(asked, int):
        if asked not in range(depth + 1):
            raise ValueError(f"placement.{stage} asks for {asked} blocks, but {stage} has {depth}")
        return [(nth + 1) * (depth // asked) - 1 for nth in range(asked)]
    for index in asked:
        if index not in range(depth):
            raise ValueError(f"placement.{stage} names block {index}, but {stage} has blocks 0..{depth - 1}")
    if len(set(asked)) != len(asked):
        raise ValueError(f"placement.{stage} names a block twice: {asked}")
    return list(asked)


class ContextResBlock(ResBlock):
    """A built residual block with a context block behind it: z = context(relu(x + F(x))).

    It adopts the residual block's parts under their own names. ResBlock's constructor is passed over: it
    assigns all its local names to the object, `__class__` among them, and would undo the subclass.
    """

    branch1_conv: nn.Module | None
    branch1_norm: nn.Module | None
    branch2: nn.Module
    activation: nn.Module
    branch_fusion: Callable[[Tensor, Tensor], Tensor]

    def __init__(self, residual: Any, context: nn.Module) -> None:
        nn.Module.__init__(self)
        self.branch1_conv = residual.branch1_conv
        self.branch1_norm = residual.branch1_norm
        self.branch2 = residual.branch2
        self.activation = residual.activation
        self.branch_fusion = residual.branch_fusion
        self.context = context

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C2 T2 H2 W2"]:
        return self.context(super().forward(x))


class ContextBranchResBlock(ContextResBlock):
    """A built residual block with a context block before its addition: z = relu(x + context(F(x)))."""

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C2 T2 H2 W2"]:
        shortcut = x
        if self.branch1_conv is not None:
            shortcut = self.branch1_conv(x)
        if self.branch1_norm is not None:
            shortcut = self.branch1_norm(shortcut)
        return self.activation(self.branch_fusion(shortcut, self.context(self.branch2(x))))


class ContextBranchBasicBlock(BasicBlock):
    """A basic block of torchvision's, built, with a context block before its addition."""

    def __init__(self, residual: BasicBlock, context: nn.Module) -> None:
        nn.Module.__init__(self)
        self.conv1 = residual.conv1
        self.conv2 = residual.conv2
        self.relu = residual.relu
        self.downsample = residual.downsample
        self.stride = residual.stride
        self.context = context

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C2 T2 H2 W2"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.context(self.conv2(self.conv1(x))) + shortcut)


IN_BRANCH = (ContextBranchResBlock, ContextBranchBasicBlock)

RESIDUAL_WITH_CONTEXT: dict[Position, type[ContextResBlock]] = {
    "after_add": ContextResBlock,
    "after_1x1x1": ContextBranchResBlock,
}


def place(block: BlockMaker, stages: Stages, placement: Placement | PlacementMapping) -> list[str]:
    """Put `block(channels)` wherever `placement` says, in place.

    A residual block of pytorchvideo's, or a basic one of torchvision's, may carry it in either position. One
    of another kind says how many channels it makes, by an attribute `out_channels`, and carries it behind
    itself.

    Args:
        block: Makes the context block.
        stages: Stages by name; of two pathways, the slow one carries the blocks.
        placement: Where to put it, as a Placement or as a mapping of its arguments.

    Returns:
        The residual blocks that carry a context block now, named as `res4.3`.

    Raises:
        ValueError: The placement names a stage that is not there, a block that a stage does not have, or none
            at all; or a residual block cannot carry one.
    """
    if not isinstance(placement, Placement):
        placement = Placement.of(placement)
    # Which residual blocks are meant.
    residuals = {name: residual_blocks(pathways(stage)[""]) for name, stage in stages.items()}
    for name in placement.stages:
        if not len(residuals.get(name, ())):
            shown = ", ".join(stage for stage, blocks in residuals.items() if len(blocks))
            raise ValueError(f"placement.{name} names a stage that is not there; the network has {shown}")
    wanted = {name: placement.indices(name, len(residuals[name])) for name in placement.stages}
    if not any(wanted.values()):
        raise ValueError(
            "a context block is given, but placement names no residual block; "
            "name some, as in {res3: [1, 3], res4: [1, 3, 5]}"
        )
    chosen = {(name, index): residuals[name][index] for name, indices in wanted.items() for index in indices}
    # Refuse what cannot carry one before the first is put.
    channels = {
        at: _channels_out(residual, placement, "{}.{}".format(*at)) for at, residual in chosen.items()
    }
    for (name, index), residual in chosen.items():
        residuals[name][index] = _with_context(residual, _make(block, channels[name, index]), placement)
    return [f"{name}.{index}" for name, index in chosen]


def place_given(
    block: BlockMaker | None, stages: Stages, placement: Placement | PlacementMapping | None
) -> list[str]:
    """Put the block where the placement says, as `place` does, or nothing where neither is given.

    Raises:
        ValueError: Only one of them is given, or the placement cannot be.
    """
    if (block is None) != (placement is None):
        given, missing = ("block", "placement") if placement is None else ("placement", "block")
        raise ValueError(f"{given} is given without {missing}; a context block needs both")
    return [] if block is None or placement is None else place(block, stages, placement)


def _make(block: BlockMaker, channels: int) -> nn.Module:
    """Return the context block for a number of channels."""
    name = getattr(block, "__name__", block)
    try:
        made = block(channels)
    except TypeError as error:
        raise ValueError(
            f"block {name} cannot be made for {channels} channels: {error}; expected a class whose first "
            "argument is their number, as gcvideo.blocks.GlobalContextBlock"
        ) from error
    if not isinstance(made, nn.Module):
        raise ValueError(f"block {name} makes a {type(made).__name__}; expected a module")
    return made


def _channels_out(residual: nn.Module, placement: Placement, name: str) -> int:
    """Return how many channels a context block in this position reads."""
    if isinstance(residual, ResBlock):
        branch = residual.get_submodule("branch2")
        return [layer for layer in branch.modules() if isinstance(layer, nn.Conv3d)][-1].out_channels
    if isinstance(residual, BasicBlock):
        return residual.get_submodule("conv2.1").num_features  # pyright: ignore[reportReturnType]
    kind = type(residual).__name__
    if placement.position != "after_add":
        raise ValueError(
            f"{name} is a {kind}, and only pytorchvideo's ResBlock and torchvision's BasicBlock have a place "
            f"{placement.position}; use position: after_add"
        )
    channels = getattr(residual, "out_channels", None)
    if not isinstance(channels, int):
        raise ValueError(
            f"{name} is a {kind}, which does not say how many channels it makes; give it an attribute "
            "out_channels"
        )
    return channels


def _with_context(residual: nn.Module, context: nn.Module, placement: Placement) -> nn.Module:
    if isinstance(residual, ResBlock):
        return RESIDUAL_WITH_CONTEXT[placement.position](residual, context)
    if isinstance(residual, BasicBlock) and placement.position == "after_1x1x1":
        return ContextBranchBasicBlock(residual, context)
    residual.add_module("context", context)
    residual.register_forward_hook(_read_by_context)
    return residual


def _read_by_context(residual: nn.Module, _: object, output: Tensor) -> Tensor:
    """Compute z = context(residual(x)), as a forward hook: the residual block stays what it is."""
    return residual.get_submodule("context")(output)


def placed_blocks(network: nn.Module) -> dict[str, nn.Module]:
    """Return the context blocks of a network, named by the residual blocks that carry them, as `res4.3`.

    A network that does not show its stages has none that can be named so.
    """
    return {name: residual.get_submodule("context") for name, residual in _carriers(network).items()}


def _carriers(network: nn.Module) -> dict[str, nn.Module]:
    residuals = blocks_by_name(shown_stages(network) or {})
    return {name: block for name, block in residuals.items() if "context" in dict(block.named_children())}


def describe_placed(network: nn.Module) -> str:
    """Return how many context blocks there are, of which class, and where."""
    groups: dict[tuple[str, Position], list[str]] = {}
    for name, residual in _carriers(network).items():
        position: Position = "after_1x1x1" if isinstance(residual, IN_BRANCH) else "after_add"
        kind = type(residual.get_submodule("context")).__name__
        groups.setdefault((kind, position), []).append(name)
    placed = []
    for (kind, position), places in groups.items():
        noun = "context block" if len(places) == 1 else "context blocks"
        placed.append(f"{len(places)} {noun} ({kind}) {position}: {', '.join(places)}")
    return "; ".join(placed) or "no context block"
