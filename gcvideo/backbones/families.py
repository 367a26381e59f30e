"""R(2+1)D, CSN and SlowFast: pytorchvideo's builders, for clips of any size, with context blocks."""

# pytorchvideo annotates its pairs as tuples of one number and its optional parts as required.
# pyright: reportArgumentType=false

from jaxtyping import Float
from pytorchvideo.models.csn import create_csn
from pytorchvideo.models.net import MultiPathWayWithFuse
from pytorchvideo.models.r2plus1d import create_r2plus1d
from pytorchvideo.models.slowfast import create_slowfast
from torch import Tensor, nn

from gcvideo.backbones.placement import BlockMaker, Placement, PlacementMapping, place
from gcvideo.backbones.protocols import pathways
from gcvideo.backbones.staged import STAGES, StagedNetwork, require_depth, stem_width

BETA_INVERSE = 8
"""Channels of the slow pathway for every channel of the fast one."""


class R2Plus1D(StagedNetwork):
    """R(2+1)D: in place of every 3 x 3 x 3 convolution, one along time and one over space.

    Tran et al., arXiv:1711.11248; pytorchvideo has the one along time first.

    State-dict keys are those of pytorchvideo's `r2plus1d_r50`, which ends in a softmax; here it ends in
    logits, averaged over all positions.

    Args:
        num_classes: K, the number of logits.
        depth: Number of layers: 50, 101 or 152.
        width: Factor on every number of channels; 1.0 is the published network (64 after the stem).
        dropout: Probability of dropping a feature before the last layer, 0..1.
        zero_init_residual: Start the last norm of every residual branch at 0.
        block: The context block to place, as in VideoResNet.
        placement: Where to place it.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        depth: int = 50,
        width: float = 1.0,
        dropout: float = 0.5,
        zero_init_residual: bool = True,
        block: BlockMaker | None = None,
        placement: Placement | PlacementMapping | None = None,
    ) -> None:
        require_depth(depth, (50, 101, 152))
        bare = create_r2plus1d(
            model_depth=depth,
            model_num_class=num_classes,
            dropout_rate=dropout,
            stem_dim_out=stem_width(width, least=4),
            head_pool=nn.AdaptiveAvgPool3d,
            head_activation=None,
        )
        super().__init__(bare, zero_init_residual=zero_init_residual, block=block, placement=placement)


class CSN(StagedNetwork):
    """Channel-separated networks: the 3 x 3 x 3 convolutions are depthwise (Tran et al., arXiv:1904.02811).

    State-dict keys are those of pytorchvideo's `csn_r101` (interaction-reduced); the head averages over all
    positions.

    Args:
        num_classes: K, the number of logits.
        depth: Number of layers: 50, 101 or 152.
        width: Factor on every number of channels; 1.0 is the published network (64 after the stem).
        dropout: Probability of dropping a feature before the last layer, 0..1.
        zero_init_residual: Start the last norm of every residual branch at 0.
        block: The context block to place, as in VideoResNet.
        placement: Where to place it.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        depth: int = 101,
        width: float = 1.0,
        dropout: float = 0.5,
        zero_init_residual: bool = True,
        block: BlockMaker | None = None,
        placement: Placement | PlacementMapping | None = None,
    ) -> None:
        require_depth(depth, (50, 101, 152))
        bare = create_csn(
            model_depth=depth,
            model_num_class=num_classes,
            dropout_rate=dropout,
            stem_dim_out=stem_width(width, least=4),
            stem_pool=nn.MaxPool3d,
            head_pool=nn.AdaptiveAvgPool3d,
        )
        super().__init__(bare, zero_init_residual=zero_init_residual, block=block, placement=placement)


class SlowFast(StagedNetwork):
    """SlowFast: a slow pathway reads every alpha-th frame of the clip, a narrow fast one all of them.

    Feichtenhofer et al., arXiv:1812.03982.

    The clip is that of the fast pathway, of 32 frames at stride 2 for SlowFast 8x8; the network takes the
    slow pathway's frames from it, so that data are loaded as for any other. State-dict keys are those of
    pytorchvideo's `slowfast_r50` and `slowfast_r101`.

    Args:
        num_classes: K, the number of logits.
        depth: Number of layers: 50, 101 or 152.
        width: Factor on every number of channels; 1.0 is the published network (64 after the slow stem, 8
            after the fast one).
        alpha: Frames of the fast pathway for every frame of the slow one.
        fusion_frames: Length of the convolutions from the fast pathway to the slow one: 7 in the published
            R50, 5 in R101.
        dropout: Probability of dropping a feature before the last layer, 0..1.
        zero_init_residual: Start the last norm of every residual branch at 0.
        block: The context block to place, as in VideoResNet.
        placement: Where to place it in the slow pathway; blocks are named as `res4.3`.
        fast_placement: Where to place it in the fast pathway; blocks are named as `fast.res4.3`.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        depth: int = 50,
        width: float = 1.0,
        alpha: int = 4,
        fusion_frames: int = 7,
        dropout: float = 0.5,
        zero_init_residual: bool = True,
        block: BlockMaker | None = None,
        placement: Placement | PlacementMapping | None = None,
        fast_placement: Placement | PlacementMapping | None = None,
    ) -> None:
        require_depth(depth, (50, 101, 152))
        if alpha < 1:
            raise ValueError(
                f"alpha is {alpha}; expected at least 1 frame for every frame of the slow pathway"
            )
        if fast_placement is not None and block is None:
            raise ValueError("fast_placement is given without block; a context block needs both")
        # The network without blocks.
        slow_channels = stem_width(width, least=BETA_INVERSE)
        if slow_channels % BETA_INVERSE:
            raise ValueError(
                f"width is {width}, which leaves {slow_channels} of 64 channels; expected a multiple of "
                f"{BETA_INVERSE}, as 0.5"
            )
        bare = create_slowfast(
            model_depth=depth,
            model_num_class=num_classes,
            dropout_rate=dropout,
            slowfast_channel_reduction_ratio=(BETA_INVERSE,),
            slowfast_fusion_conv_kernel_size=(fusion_frames, 1, 1),
            slowfast_fusion_conv_stride=(alpha, 1, 1),
            stem_dim_outs=(slow_channels, slow_channels // BETA_INVERSE),
            head_pool=nn.AdaptiveAvgPool3d,
        )
        # Blocks in the slow pathway, then in the fast one.
        only_fast = placement is None and fast_placement is not None
        super().__init__(
            bare,
            zero_init_residual=zero_init_residual,
            block=None if only_fast else block,
            placement=placement,
        )
        self.alpha = alpha
        if block is not None and fast_placement is not None:
            fast = {name: pathways(stage)["fast."] for name, stage in self.stages.items()}
            self.context_places += [f"fast.{at}" for at in place(block, fast, fast_placement)]

    @property
    def stages(self) -> dict[str, nn.Module]:
        """Return the stem and res2, res3, res4, res5, each of two pathways and what leads between them."""
        both = [block for block in self.blocks if isinstance(block, MultiPathWayWithFuse)]
        return dict(zip(("stem", *STAGES), both, strict=True))

    def inputs(self, clip: Float[Tensor, "B 3 T H W"]) -> list[Tensor]:
        """Return what the two stems read: T / alpha frames, the first and last among them, and all T."""
        num_frames = clip.shape[2]
        if num_frames % self.alpha:
            raise ValueError(
                f"SlowFast reads every {self.alpha}th frame of a clip of {num_frames}; expected a multiple "
                f"of {self.alpha} frames (data.clip.num_frames, or alpha)"
            )
        num_slow = num_frames // self.alpha
        slow = [nth * (num_frames - 1) // max(num_slow - 1, 1) for nth in range(num_slow)]
        return [clip[:, :, slow], clip]


FAMILIES: dict[str, type[StagedNetwork]] = {"r2plus1d": R2Plus1D, "csn": CSN, "slowfast": SlowFast}
"""By what they are called in files of weights, beside the architectures of VideoResNet."""
