"""Where context blocks stand in a residual network of pictures, in the words of the paper."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from gcvideo.backbones.placement import BlockMaker, Blocks, chosen_blocks

Position = Literal["after_add", "after_1x1"]
STAGES = ("c2", "c3", "c4", "c5")


@dataclass(frozen=True)
class ImagePlacement:
    """Which residual blocks carry a context block.

    GCNet's and mmdetection's is `{c3: all, c4: all, c5: all, position: after_1x1}`: 13 blocks at depth 50.

    Args:
        c2: Residual blocks of stage c2: which, counted from 0; or how many, as far apart as in the video
            networks; or "all".
        c3: The same of stage c3.
        c4: The same of stage c4.
        c5: The same of stage c5.
        position: after_add puts the block behind the whole residual block (its addition and ReLU);
            after_1x1 puts it behind the last convolution (1x1; of a basic block 3x3) and its norm, before
            the addition.
    """

    c2: Blocks = field(default_factory=list)
    c3: Blocks = field(default_factory=list)
    c4: Blocks = field(default_factory=list)
    c5: Blocks = field(default_factory=list)
    position: Position = "after_1x1"

    def indices(self, depths: Mapping[str, int]) -> dict[str, list[int]]:
        """Return by stage which of its residual blocks carry a context block.

        Raises:
            ValueError: A stage does not have the block that is named, or none is named at all.
        """
        found = {stage: chosen_blocks(getattr(self, stage), depths[stage], stage=stage) for stage in STAGES}
        if not any(found.values()):
            raise ValueError(
                "a context block is given, but placement names no residual block; "
                "name some, as in {c3: all, c4: all, c5: all}"
            )
        return found


class ContextBottleneck(Bottleneck):
    """A built bottleneck with a context block before its addition: z = relu(x + context(F(x)))."""

    context: nn.Module

    def __init__(self, residual: Bottleneck, context: nn.Module) -> None:
        _adopt(self, residual, context)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.context(self.bn3(self.conv3(out))) + shortcut)


class ContextBasicBlock(BasicBlock):
    """A built basic block with a context block before its addition: z = relu(x + context(F(x)))."""

    context: nn.Module

    def __init__(self, residual: BasicBlock, context: nn.Module) -> None:
        _adopt(self, residual, context)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.context(self.bn2(self.conv2(out))) + shortcut)


class BottleneckThenContext(Bottleneck):
    """A built bottleneck with a context block behind it: z = context(relu(x + F(x)))."""

    context: nn.Module

    def __init__(self, residual: Bottleneck, context: nn.Module) -> None:
        _adopt(self, residual, context)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        return self.context(super().forward(x))


class BasicBlockThenContext(BasicBlock):
    """A built basic block with a context block behind it: z = context(relu(x + F(x)))."""

    context: nn.Module

    def __init__(self, residual: BasicBlock, context: nn.Module) -> None:
        _adopt(self, residual, context)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        return self.context(super().forward(x))


WITH_CONTEXT: dict[tuple[type[nn.Module], Position], Any] = {
    (Bottleneck, "after_1x1"): ContextBottleneck,
    (Bottleneck, "after_add"): BottleneckThenContext,
    (BasicBlock, "after_1x1"): ContextBasicBlock,
    (BasicBlock, "after_add"): BasicBlockThenContext,
}
"""What a residual block becomes, by its kind and the position of the context block."""


def place(block: BlockMaker, stages: Mapping[str, nn.Sequential], placement: ImagePlacement) -> list[str]:
    """Put `block(channels)` wherever `placement` says, in place; return where, as `c4.3`.

    Raises:
        ValueError: The placement names what is not there.
    """
    chosen = placement.indices({name: len(stage) for name, stage in stages.items()})
    for name, indices in chosen.items():
        for index in indices:
            residual = stages[name][index]
            context = block(_channels_out(residual))
            stages[name][index] = WITH_CONTEXT[type(residual), placement.position](residual, context)
    return [f"{name}.{index}" for name, indices in chosen.items() for index in indices]


def _adopt(block: Any, residual: nn.Module, context: nn.Module) -> None:
    """Take over the parts of a built residual block under their own names, and the context block."""
    nn.Module.__init__(block)
    for name, part in residual.named_children():
        block.add_module(name, part)
    if residual.downsample is None:
        block.downsample = None
    block.stride = residual.stride
    block.context = context


def _channels_out(residual: nn.Module) -> int:
    """Return how many channels a residual block gives."""
    last = residual.bn3 if isinstance(residual, Bottleneck) else residual.bn2
    return last.num_features  # pyright: ignore[reportReturnType, reportAttributeAccessIssue]
