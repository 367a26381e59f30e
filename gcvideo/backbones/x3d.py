"""X3D: pytorchvideo's builder, for clips of any size, with context blocks."""

# pytorchvideo annotates its pairs as tuples of one number and its optional parts as required.
# pyright: reportArgumentType=false

from jaxtyping import Float
from pytorchvideo.models.x3d import create_x3d
from torch import Tensor, nn

from gcvideo.backbones.placement import BlockMaker, Placement, PlacementMapping
from gcvideo.backbones.staged import StagedNetwork


class X3D(StagedNetwork):
    """X3D: a network of channel-wise convolutions, grown along one axis after another for the least FLOPs.

    Feichtenhofer, arXiv:2004.04730, table 1. XS, S and M are one network on clips of 4 x 160 x 160, of
    13 x 160 x 160 and of 16 x 224 x 224; L is a deeper one, on 16 x 312 x 312.

    State-dict keys are those of pytorchvideo's `x3d_xs`, `x3d_s`, `x3d_m` and `x3d_l`, which end in a
    softmax; here it ends in logits, averaged over all positions.

    Args:
        num_classes: K, the number of logits.
        depth_factor: Residual blocks for each of 1, 2, 5 and 3 in res2..res5, rounded up: 2.2 (3, 5, 11, 7),
            or 5.0 in L (5, 10, 25, 15).
        width_factor: Channels for each of 12, 24, 48 and 96 after the blocks of res2..res5; 2.0 in all four.
        dropout: Probability of dropping a feature before the last layer, 0..1.
        zero_init_residual: Start the last norm of every residual branch at 0.
        block: The context block to place, as in VideoResNet.
        placement: Where to place it.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        depth_factor: float = 2.2,
        width_factor: float = 2.0,
        dropout: float = 0.5,
        zero_init_residual: bool = True,
        block: BlockMaker | None = None,
        placement: Placement | PlacementMapping | None = None,
    ) -> None:
        for name, factor in (("depth_factor", depth_factor), ("width_factor", width_factor)):
            if factor <= 0:
                raise ValueError(f"{name} is {factor}; expected a positive number, as in X3D-M's 2.2 and 2.0")
        bare = create_x3d(
            model_num_class=num_classes,
            depth_factor=depth_factor,
            width_factor=width_factor,
            dropout_rate=dropout,
            inner_act=nn.SiLU,  # pytorchvideo's Swish is a function of its own, which cannot be exported
            head_activation=None,
        )
        bare.get_submodule("blocks.5.pool").pool = nn.AdaptiveAvgPool3d(1)
        super().__init__(bare, zero_init_residual=zero_init_residual, block=block, placement=placement)

    def features(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B C"]:
        """Return what the last layer reads: the last stage's output, mapped, averaged and mapped again."""
        features = clip
        for block in self.blocks[:-1]:
            features = block(features)
        return self.blocks[-1].get_submodule("pool")(features).flatten(1)
