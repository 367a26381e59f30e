"""What networks made of pytorchvideo's parts share: stages, features, and context blocks placed in them."""

from typing import Any, cast

from jaxtyping import Float
from pytorchvideo.models.resnet import ResStage
from torch import Tensor, nn

from gcvideo.backbones.placement import BlockMaker, Placement, PlacementMapping, describe_placed, place_given
from gcvideo.backbones.protocols import blocks_by_name

STAGES = ("res2", "res3", "res4", "res5")


class StagedNetwork(nn.Module):
    """A network as a builder of pytorchvideo's makes it, with context blocks where the placement says.

    Without blocks its state-dict keys are pytorchvideo's.

    Args:
        bare: What the builder made: a stem, the stages res2..res5 and a head, one after another.
        zero_init_residual: Start the last norm of every residual branch at 0, or else at 1.
        block: Makes the context block to place, for a number of channels.
        placement: Where to place it, as a Placement or as a mapping of its arguments.

    Raises:
        ValueError: Only one of `block` and `placement` is given, or the placement cannot be.
    """

    def __init__(
        self,
        bare: nn.Module,
        *,
        zero_init_residual: bool,
        block: BlockMaker | None,
        placement: Placement | PlacementMapping | None,
    ) -> None:
        super().__init__()
        self.blocks = cast(nn.ModuleList, bare.blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):  # strides of shortcuts are NumPy's, unknowns to torch.compile
                module.stride = tuple(int(step) for step in module.stride)
        if not zero_init_residual:
            for residual in blocks_by_name(self.stages).values():
                branch = residual.get_submodule("branch2")
                last = [module for module in branch.modules() if isinstance(module, nn.BatchNorm3d)][-1]
                nn.init.ones_(last.weight)
        self.context_places = place_given(block, self.stages, placement)

    @property
    def stages(self) -> dict[str, nn.Module]:
        """Return the stem, and the residual stages by their names in a placement: res2, res3, res4, res5."""
        residual = [block for block in self.blocks if isinstance(block, ResStage)]
        return {"stem": self.blocks[0], **dict(zip(STAGES, residual, strict=True))}

    @property
    def head(self) -> nn.Module:
        """Return the last layer."""
        return self.blocks[-1].get_submodule("proj")

    @property
    def placed(self) -> str:
        """Return how many context blocks there are, of which class, and where."""
        return describe_placed(self)

    def inputs(self, clip: Float[Tensor, "B 3 T H W"]) -> Any:
        """Return what the stem reads: the clip."""
        return clip

    def features(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B C"]:
        """Return what the last layer reads: the last stage's output, averaged over all positions."""
        features = self.inputs(clip)
        for block in self.blocks[:-1]:
            features = block(features)
        return features.mean(dim=(2, 3, 4))

    def forward(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B K"]:
        features = self.inputs(clip)
        for block in self.blocks:
            features = block(features)
        return features


def stem_width(width: float, *, least: int) -> int:
    """Return the number of channels after the stem of a network `width` times as wide as the published one.

    Raises:
        ValueError: It is less than `least`.
    """
    channels = round(64 * width)
    if channels < least:
        raise ValueError(f"width is {width}, which leaves {channels} of 64 channels; at least {least}")
    return channels


def require_depth(depth: int, depths: tuple[int, ...]) -> None:
    """Refuse a depth that the table does not have."""
    if depth not in depths:
        raise ValueError(f"depth is {depth}; expected one of {', '.join(map(str, depths))}")
