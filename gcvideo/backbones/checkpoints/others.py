"""Weights of networks that keep the names of another library: which files are torchvision's, which X3D's."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from gcvideo.backbones.checkpoints.configurations import Input

VIDEO = Input(mean=(0.43216, 0.394666, 0.37645), std=(0.22803, 0.22145, 0.216989))
OF_PYSLOWFAST = Input(mean=(0.45, 0.45, 0.45), std=(0.225, 0.225, 0.225))
OF_IMAGENET = Input(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


class Other(NamedTuple):
    """A network that is known by a few of its tensors."""

    title: str
    network: str | None
    """What it is here, or None."""
    signs: Mapping[str, tuple[int, ...]]
    """Tensors that it has, and how their shapes end."""
    head: str
    """Its last layer."""
    input: Input
    """What the weights that the library publishes were trained on."""

    def fits(self, state: Mapping[str, Tensor]) -> bool:
        """Tell whether the state dict has all of these tensors."""
        return all(
            key in state and tuple(state[key].shape[state[key].ndim - len(shape) :]) == shape
            for key, shape in self.signs.items()
        )

    def describe(self, state: Mapping[str, Tensor]) -> str:
        """Return what a file holds, in a few words."""
        head = state.get(f"{self.head}.weight")
        return f"{self.title}, {'no head' if head is None else f'{len(head)} classes'}"

    @property
    def advice(self) -> str:
        """Return what would do."""
        return f"set model.network to {self.network}" if self.network else "no network here is one"


def _resnet(title: str, name: str, layer: str, *kernel: int) -> Other:
    network = f"gcvideo.backbones.TorchvisionResNet with name {name}"
    signs = {f"{layer}.weight": kernel, "stem.0.weight": ()}
    return Other(f"torchvision naming, {title}", network, signs, "fc", VIDEO)


def _swin(title: str, width: int, depth: int, setting: str) -> Other:
    signs = {
        "patch_embed.proj.weight": (width, 3, 2, 4, 4),
        f"features.4.{depth - 1}.attn.relative_position_bias_table": (),
    }
    network = f"gcvideo.backbones.Swin3D{setting}"
    return Other(f"torchvision naming, {title}", network, signs, "head", OF_IMAGENET)


def _x3d(title: str, last: str, setting: str) -> Other:
    signs = {"blocks.5.pool.pre_conv.weight": (), f"blocks.4.res_blocks.{last}.branch2.conv_a.weight": ()}
    network = f"gcvideo.backbones.X3D{setting}"
    return Other(f"pytorchvideo naming, {title}", network, signs, "blocks.5.proj", OF_PYSLOWFAST)


OTHERS = (
    _resnet("R3D-18", "r3d_18", "layer2.0.conv1.0", 3, 3, 3),
    _resnet("MC3-18", "mc3_18", "layer2.0.conv1.0", 1, 3, 3),
    _resnet("R(2+1)D-18", "r2plus1d_18", "layer2.0.conv1.0.0", 1, 3, 3),
    Other(
        "torchvision naming, S3D",
        "gcvideo.backbones.S3D",
        {"features.5.branch0.0.weight": (192, 1, 1, 1)},
        "classifier.1",
        VIDEO,
    ),
    Other(
        "torchvision naming, MViTv2",
        "gcvideo.backbones.MViT",
        {"conv_proj.weight": (3, 7, 7), "blocks.0.attn.rel_pos_h": ()},
        "head.1",
        OF_PYSLOWFAST,
    ),
    Other(
        "torchvision naming, MViTv1",
        None,
        {"conv_proj.weight": (3, 7, 7), "pos_encoding.spatial_pos": ()},
        "head.1",
        OF_PYSLOWFAST,
    ),
    _swin("Video Swin-B", 128, 18, " with width 128 and depths [2, 2, 18, 2]"),
    _swin("Video Swin-S", 96, 18, " with depths [2, 2, 18, 2]"),
    _swin("Video Swin-T", 96, 6, ""),
    _x3d("X3D-L", "14", " with depth_factor 5.0"),
    _x3d("X3D-XS, S or M", "6", ""),
)


def other_network(state: Mapping[str, Tensor]) -> Other | None:
    """Return which of these networks a state dict is of, or None."""
    return next((other for other in OTHERS if other.fits(state)), None)
