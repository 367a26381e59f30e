"""torchvision's networks for video, as they are, with stages, features and context blocks."""

from collections.abc import Mapping
from typing import Literal, cast

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d
from torchvision.models import get_model
from torchvision.models.video import VideoResNet
from torchvision.models.video import s3d as s3d_builder
from torchvision.models.video.s3d import SepInceptionBlock3D

from gcvideo.backbones.placement import BlockMaker, Placement, PlacementMapping, describe_placed, place_given


class TorchvisionNetwork(nn.Module):
    """A network of torchvision's, as `net`.

    State-dict keys are torchvision's behind `net.`, and files with torchvision's keys are loaded as they are.
    """

    context_places: list[str]

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.context_places = []

    @property
    def head(self) -> nn.Module:
        """Return the last layer."""
        return [layer for layer in self.net.modules() if isinstance(layer, nn.Linear | nn.Conv3d)][-1]

    @property
    def placed(self) -> str:
        """Return how many context blocks there are, of which class, and where."""
        return describe_placed(self)

    def features(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B C"]:
        """Return what the last layer reads, averaged over the positions that it is still given."""
        read: list[Tensor] = []
        handle = self.head.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
        try:
            self(clip)
        finally:
            handle.remove()
        return read[0].flatten(2).mean(dim=2) if read[0].ndim > 2 else read[0]

    def forward(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B K"]:
        return self.net(clip)


class TorchvisionResNet(TorchvisionNetwork):
    """R3D-18, MC3-18 and R(2+1)D-18 (Tran et al., arXiv:1711.11248), with context blocks.

    Two basic blocks in each of res2..res5, which are torchvision's layer1..layer4. r3d_18 has 3 x 3 x 3
    convolutions throughout, mc3_18 1 x 3 x 3 ones from res3 on, r2plus1d_18 one over space and one along time
    for each.

    Args:
        num_classes: K, the number of logits.
        name: Which of them.
        block: The context block to place, as in VideoResNet.
        placement: Where to place it; after_1x1x1 is behind the second convolution and its norm.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        name: Literal["r3d_18", "mc3_18", "r2plus1d_18"] = "r3d_18",
        block: BlockMaker | None = None,
        placement: Placement | PlacementMapping | None = None,
    ) -> None:
        super().__init__(get_model(name, num_classes=num_classes))
        self.context_places = place_given(block, self.stages, placement)

    @property
    def stages(self) -> dict[str, nn.Module]:
        """Return the stem and res2, res3, res4, res5."""
        net = cast(VideoResNet, self.net)
        return {
            "stem": net.stem,
            "res2": net.layer1,
            "res3": net.layer2,
            "res4": net.layer3,
            "res5": net.layer4,
        }


INCEPTION_STAGES = {"stem": (0, 4), "res3": (5, 7), "res4": (8, 13), "res5": (14, 16)}
"""Of the parts of S3D's `features`; 4, 7 and 13 are the pools between."""


class S3D(TorchvisionNetwork):
    """S3D: separable 3-D Inception (Xie et al., arXiv:1712.04851), with context blocks.

    Its stages are named by the size of their maps, as those of a residual network: res3 are the Inception
    blocks 3b and 3c (28 x 28 of 224 x 224), res4 are 4b to 4f, res5 are 5b and 5c; what stands before them is
    the stem. They concatenate where a residual block adds, so that a context block stands behind the whole
    block (after_add) and nowhere else.

    The head averages over windows of 2 x 7 x 7, as torchvision's, or over all of a smaller map.

    Args:
        num_classes: K, the number of logits.
        dropout: Probability of dropping a feature before the last layer, 0..1.
        block: The context block to place, as in VideoResNet.
        placement: Where to place it.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        dropout: float = 0.2,
        block: BlockMaker | None = None,
        placement: Placement | PlacementMapping | None = None,
    ) -> None:
        net = s3d_builder(num_classes=num_classes, dropout=dropout)
        net.avgpool = cast(nn.AvgPool3d, AverageOfWindows())
        net.features = InStages(net.features, INCEPTION_STAGES)
        super().__init__(net)
        for part in net.features:
            if isinstance(part, SepInceptionBlock3D):
                channels = sum(_channels_out(branch) for branch in part.children())
                part.out_channels = channels  # pyright: ignore[reportArgumentType]
        self.context_places = place_given(block, self.stages, placement)

    @property
    def stages(self) -> dict[str, nn.Module]:
        """Return the stem and res3, res4, res5."""
        return dict(cast(InStages, self.net.get_submodule("features")).stages)

    def forward(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B K"]:
        num_frames, height, width = clip.shape[2:]
        if num_frames < 5 or min(height, width) < 17:
            raise ValueError(
                f"S3D halves a clip of {num_frames} x {height} x {width} until nothing is left; expected at "
                "least 5 frames of 17 x 17 (data.clip.num_frames, crop_size)"
            )
        return self.net(clip)


def _channels_out(branch: nn.Module) -> int:
    return [layer for layer in branch.modules() if isinstance(layer, nn.Conv3d)][-1].out_channels


class InStages(nn.Sequential):
    """The same modules in the same order and under the same names, some of them passed as stages."""

    def __init__(self, modules: nn.Sequential, stages: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(*modules)
        # Not registered: the modules have their names as parts of this one.
        self.stages = {name: nn.Sequential(*modules[first:end]) for name, (first, end) in stages.items()}
        begins = {first: name for name, (first, _) in stages.items()}
        inside = {nth for first, end in stages.values() for nth in range(first, end)}
        self.passed = [
            self.stages[begins[nth]] if nth in begins else module
            for nth, module in enumerate(modules)
            if nth in begins or nth not in inside
        ]

    def forward(self, input: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C2 T2 H2 W2"]:
        features = input
        for part in self.passed:
            features = part(features)
        return features


class AverageOfWindows(nn.Module):
    """Average over windows of 2 x 7 x 7, one position after another, or over all of a smaller map."""

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C T2 H2 W2"]:
        window = [min(size, most) for size, most in zip(x.shape[2:], (2, 7, 7), strict=True)]
        return avg_pool3d(x, window, stride=1)
