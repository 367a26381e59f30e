"""C2D, I3D and Slow-only residual networks: rows of one table, built from pytorchvideo's parts."""

# pytorchvideo annotates its kernel sizes as tuples of one number and its optional parts as required.
# pyright: reportArgumentType=false

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple

from jaxtyping import Float
from pytorchvideo.models.resnet import create_bottleneck_block, create_resnet
from torch import Tensor, nn

from gcvideo.backbones.basic import BLOCKS_OF_DEPTH, Kernel, create_basic_resnet
from gcvideo.backbones.placement import BlockMaker, Placement, PlacementMapping
from gcvideo.backbones.staged import StagedNetwork, require_depth, stem_width
from gcvideo.words import ArchitectureName

POINT: Kernel = (1, 1, 1)
TEMPORAL: Kernel = (3, 1, 1)


def unpadded_max_pool(*, kernel_size: Kernel, stride: Kernel, padding: Sequence[int]) -> nn.MaxPool3d:
    """Return a pool that leaves `padding` out: of 112 positions along a side it makes 55, not 56."""
    return nn.MaxPool3d(kernel_size, stride)


class Architecture(NamedTuple):
    """What tells one 3-D residual network of the field from another: where it looks, and strides, in time."""

    stem_kernel: Kernel
    first_kernels: tuple[list[Kernel], list[Kernel], list[Kernel], list[Kernel]]
    """Kernels of the first convolution of each residual block in res2..res5, repeated along a stage."""
    halves_time_after_res2: bool
    stem_strides: tuple[int, int] = (1, 1)
    """Temporal strides of the stem's convolution and of its pool."""
    stem_pool: Callable[..., nn.Module] = nn.MaxPool3d


C2D = Architecture((1, 7, 7), ([POINT], [POINT], [POINT], [POINT]), True)
I3D = Architecture((5, 7, 7), ([TEMPORAL], [TEMPORAL, POINT], [TEMPORAL, POINT], [POINT, TEMPORAL]), True)


ARCHITECTURES: dict[str, Architecture] = {
    # Feichtenhofer et al., SlowFast Networks, arXiv:1812.03982, table 1, Slow pathway.
    "slow": Architecture((1, 7, 7), ([POINT], [POINT], [TEMPORAL], [TEMPORAL]), False),
    # Wang et al., Non-local Neural Networks, arXiv:1711.07971, section 4.1: one 3x1x1 for every two residual
    # blocks.
    "i3d": I3D,
    # Wang et al., table 1.
    "c2d": C2D,
    # PySlowFast's networks of these names; c2d_nopool is MMAction2's TSN as well, a mean over frames.
    "i3d_nopool": I3D._replace(halves_time_after_res2=False),
    "c2d_nopool": C2D._replace(halves_time_after_res2=False),
    # MMAction2's I3D, for 32 frames: the temporal strides of Wang et al., table 1.
    "i3d_strided": I3D._replace(stem_strides=(2, 2)),
    # MMAction2's C2D, after video-nonlocal-net.
    "c2d_unpadded": C2D._replace(stem_pool=unpadded_max_pool),
}

DEPTHS = (*BLOCKS_OF_DEPTH, 50, 101, 152)

# Even numbers of frames halve; an odd last frame (or a single image) is kept.
TemporalMaxPool = partial(nn.MaxPool3d, ceil_mode=True)


def create_strided_1x1_bottleneck(*, conv_a_stride: Kernel, conv_b_stride: Kernel, **parts) -> nn.Module:
    """Return pytorchvideo's bottleneck with all strides on its first 1x1 convolution (He et al., 2015)."""
    time, height, width = (a * b for a, b in zip(conv_a_stride, conv_b_stride, strict=True))
    return create_bottleneck_block(conv_a_stride=(time, height, width), conv_b_stride=POINT, **parts)


class VideoResNet(StagedNetwork):
    """A 3-D residual network for clips, with context blocks where the placement says.

    Without blocks its state-dict keys and logits are those of pytorchvideo's `slow_r50`, `i3d_r50` and
    `c2d_r50`. The head averages over all positions (theirs slides a window of 8x7x7, which is the same at
    8 frames of 224 x 224), then applies dropout and one linear layer.

    Args:
        num_classes: K, the number of logits.
        architecture: slow (no temporal stride, temporal kernels in res4 and res5), i3d (temporal kernels
            throughout) or c2d (none); i3d and c2d halve the number of frames after res2. Variants of other
            codebases: i3d_nopool and c2d_nopool do not, i3d_strided halves it in the stem's convolution and
            in its pool as well, c2d_unpadded pools without padding in the stem.
        depth: Number of layers: 18 or 34 with basic blocks, whose first convolution is T x 3 x 3 where a
            bottleneck's is T x 1 x 1; 50, 101 or 152 with bottlenecks.
        width: Factor on every number of channels; 1.0 is the published network (64 after the stem).
        stride_on: Which convolution of a bottleneck carries the spatial stride: 3x3, or 1x1 as in the
            first residual networks. Basic blocks have no 1x1.
        dropout: Probability of dropping a feature before the last layer, 0..1.
        zero_init_residual: Start the last norm of every residual branch at 0, so that the network starts
            shallow (Goyal et al., arXiv:1706.02677, section 5.1), which long runs want; a short run on little
            data learns sooner from 1.
        block: The context block to place, a class of `gcvideo.blocks`, or one of your own, whose channels
            stay open.
        placement: Where to place it, as a Placement or as a mapping of its arguments.

    Raises:
        ValueError: The depth is not in the table or has no such stride, the width leaves no channels, or
            only one of `block` and `placement` is given.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        architecture: ArchitectureName = "slow",
        depth: int = 50,
        width: float = 1.0,
        stride_on: Literal["3x3", "1x1"] = "3x3",
        dropout: float = 0.5,
        zero_init_residual: bool = True,
        block: BlockMaker | None = None,
        placement: Placement | PlacementMapping | None = None,
    ) -> None:
        require_depth(depth, DEPTHS)
        table = ARCHITECTURES[architecture]
        pool_after_res2 = TemporalMaxPool if table.halves_time_after_res2 else None
        if depth in BLOCKS_OF_DEPTH:
            if stride_on != "3x3":
                raise ValueError(
                    f"stride_on is {stride_on}, and the basic blocks of depth {depth} have no such "
                    "convolution; leave it at 3x3"
                )
            bare = create_basic_resnet(
                num_classes=num_classes,
                depth=depth,
                dropout=dropout,
                stem_channels=stem_width(width, least=4),
                stem_kernel=table.stem_kernel,
                stem_strides=table.stem_strides,
                stem_pool=table.stem_pool,
                first_kernels=table.first_kernels,
                pool_after_res2=pool_after_res2,
            )
        else:
            bare = create_resnet(
                model_depth=depth,
                model_num_class=num_classes,
                dropout_rate=dropout,
                stem_dim_out=stem_width(width, least=4),
                stem_conv_kernel_size=table.stem_kernel,
                stem_conv_stride=(table.stem_strides[0], 2, 2),
                stem_pool=table.stem_pool,
                stem_pool_stride=(table.stem_strides[1], 2, 2),
                stage1_pool=pool_after_res2,
                stage_conv_a_kernel_size=table.first_kernels,
                bottleneck=(create_bottleneck_block if stride_on == "3x3" else create_strided_1x1_bottleneck),
                head_pool=nn.AdaptiveAvgPool3d,
            )
        super().__init__(bare, zero_init_residual=zero_init_residual, block=block, placement=placement)
        self.architecture: ArchitectureName = architecture
        self.stride_on: Literal["3x3", "1x1"] = stride_on


class FrameDifferenceResNet(VideoResNet):
    """A VideoResNet that reads what changes: of a clip of T frames, the T - 1 differences x_t+1 - x_t.

    The RGB difference of TSN (Wang et al., arXiv:1608.00859, section 3.2). What stands still is gone before
    the stem, so that a few hundred clips of still cameras suffice to learn motion, which convolutions would
    have to learn to tell from the scene. Weights, arguments and costs are VideoResNet's, of one frame less.
    """

    def inputs(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B 3 T-1 H W"]:
        """Return the differences of neighbouring frames.

        Raises:
            ValueError: The clip has one frame.
        """
        if clip.shape[2] < 2:
            raise ValueError("FrameDifferenceResNet got a clip of 1 frame; expected 2 or more")
        return clip[:, :, 1:] - clip[:, :, :-1]
