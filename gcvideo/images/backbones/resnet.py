"""Residual networks of pictures: torchvision's, with context blocks and deformable convolutions in places."""

from collections.abc import Collection
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from gcvideo.backbones.placement import BlockMaker
from gcvideo.images.backbones.deformable import DeformableConv
from gcvideo.images.backbones.placement import STAGES, ImagePlacement, place

Stage = Literal["c2", "c3", "c4", "c5"]
KINDS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}
"""The residual block of a depth, and how many there are in c2 to c5."""


class ContextResNet(ResNet):
    """torchvision's ResNet or ResNeXt up to c5, by its names; context blocks add `.context.` to a name.

    Called with pictures it returns the maps c2, c3, c4 and c5, of strides 4, 8, 16 and 32. Weights of
    torchvision's networks load strictly, their `fc` apart. With `--trainer.sync_batchnorm true` its norms
    share their statistics between GPUs.

    Args:
        depth: 18, 34, 50, 101 or 152.
        groups: Of the 3x3 convolutions; ResNeXt-101 32x4d has 32.
        width_per_group: Their channels in a group of c2; ResNeXt-101 32x4d has 4.
        width: Factor on all channels; small runs want less than 1.
        block: Makes a context block for a number of channels; None is no block.
        placement: Where context blocks stand.
        deformable: Stages whose 3x3 convolutions are deformable.
        dilated: Stages that keep the resolution of the one before by dilation: [c4, c5] is torchvision's
            `replace_stride_with_dilation=[False, True, True]`.
        frozen_stages: How many stages do not train, their norms keeping the statistics that they have: 0 is
            none, 1 the stem and c2, as where detectors are fine-tuned.
        fixed_norms: Let all norms keep the statistics that they have, while their scales train (mmdetection's
            norm_eval).
        zero_init_residual: Start every residual block as the identity.

    Raises:
        ValueError: There is no network of this depth, width or number of groups, or the placement names what
            is not there.
    """

    def __init__(
        self,
        depth: int = 50,
        *,
        groups: int = 1,
        width_per_group: int = 64,
        width: float = 1.0,
        block: BlockMaker | None = None,
        placement: ImagePlacement | None = None,
        deformable: Collection[Stage] = (),
        dilated: Collection[Stage] = (),
        frozen_stages: int = 0,
        fixed_norms: bool = False,
        zero_init_residual: bool = False,
    ) -> None:
        nn.Module.__init__(self)  # not ResNet's, which knows one width
        require(
            depth, width_per_group=width_per_group, width=width, frozen_stages=frozen_stages, dilated=dilated
        )
        if (block is None) != (placement is None):
            given, missing = ("block", "placement") if placement is None else ("placement", "block")
            raise ValueError(f"{given} is given without {missing}; a context block needs both")
        kind, depths = KINDS[depth]
        if kind is BasicBlock and (groups != 1 or deformable):
            raise ValueError(f"depth is {depth}; groups and deformable convolutions need 50, 101 or 152")
        channels = round(64 * width)
        # What _make_layer reads
        self._norm_layer = nn.BatchNorm2d
        self.inplanes, self.dilation, self.groups, self.base_width = channels, 1, groups, width_per_group
        # conv1 to layer4
        self.conv1 = nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        for number, (stage, num_blocks) in enumerate(zip(STAGES, depths, strict=True)):
            layer = self._make_layer(
                kind,
                channels * 2**number,
                num_blocks,
                stride=1 if number == 0 else 2,
                dilate=stage in dilated,
            )
            self.add_module(f"layer{number + 1}", layer)
        self.channels = {stage: kind.expansion * channels * 2**number for number, stage in enumerate(STAGES)}
        # Deformable convolutions, then initial values, then context blocks, which have their own
        for stage in deformable:
            for residual in self.stages[stage]:
                residual.conv2 = deformed(residual.get_submodule("conv2"))
        initialise(self, zero_init_residual=zero_init_residual)
        self.placed = [] if block is None or placement is None else place(block, self.stages, placement)
        # What stays as it is
        self.frozen_stages, self.fixed_norms = frozen_stages, fixed_norms
        for part in self.frozen:
            part.requires_grad_(False)

    @property
    def stages(self) -> dict[str, nn.Sequential]:
        """Return c2 to c5 by name."""
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        return dict(zip(STAGES, layers, strict=True))

    @property
    def frozen(self) -> list[nn.Module]:
        """Return what does not train."""
        if self.frozen_stages == 0:
            return []
        return [self.conv1, self.bn1, *list(self.stages.values())[: self.frozen_stages]]

    def train(self, mode: bool = True) -> "ContextResNet":
        """Set all to training or evaluation, but for norms whose statistics stay."""
        super().train(mode)
        kept = [self] if self.fixed_norms else self.frozen
        norms = (
            norm
            for part in kept
            for norm in part.modules()
            if isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm)
        )
        for norm in norms:
            norm.eval()
        return self

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] (which gives logits)
        self, x: Float[Tensor, "B 3 H W"]
    ) -> dict[str, Float[Tensor, "B C h w"]]:
        """Return the maps c2 to c5 by name."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = {}
        for name, stage in self.stages.items():
            x = stage(x)
            maps[name] = x
        return maps


def require(
    depth: int, *, width_per_group: int, width: float, frozen_stages: int, dilated: Collection[Stage]
) -> None:
    """Raise ValueError for a network that there is not."""
    if depth not in KINDS:
        raise ValueError(f"depth is {depth}; expected one of {', '.join(map(str, KINDS))}")
    if round(64 * width) < 1 or int(width * width_per_group) < 1:
        raise ValueError(
            f"width is {width}; expected that 64 channels and a group of {width_per_group} have one left"
        )
    if frozen_stages not in range(len(STAGES) + 1):
        raise ValueError(f"frozen_stages is {frozen_stages}; expected 0..{len(STAGES)}")
    if "c2" in dilated:
        raise ValueError("dilated names c2, which has no stride that dilation could stand for")


def deformed(conv: nn.Module) -> DeformableConv:
    """Return the deformable convolution that stands for a 3x3 one."""
    assert isinstance(conv, nn.Conv2d)
    return DeformableConv(
        conv.in_channels,
        conv.out_channels,
        stride=conv.stride[0],
        dilation=conv.dilation[0],
        groups=conv.groups,
    )


def initialise(network: nn.Module, *, zero_init_residual: bool) -> None:
    """Start as torchvision's networks do (He et al., arXiv:1502.01852), offsets of deformable ones at 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | DeformableConv):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if zero_init_residual and isinstance(module, BasicBlock | Bottleneck):
            last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
            nn.init.zeros_(last.weight)  # pyright: ignore[reportArgumentType]
    for module in network.modules():
        if isinstance(module, DeformableConv):
            module.reset_offsets()
