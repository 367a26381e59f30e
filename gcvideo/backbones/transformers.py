"""torchvision's video transformers: no context blocks, but stages, features and layer-wise learning rates."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models import video
from torchvision.models.video.mvit import MSBlockConfig

from gcvideo.backbones.protocols import require_clip
from gcvideo.backbones.torchvision_networks import TorchvisionNetwork


class MViT(TorchvisionNetwork):
    """MViTv2 (Li et al., arXiv:2112.01526), as torchvision's mvit_v2_s with the defaults.

    It passes tokens, not feature maps: it takes no context blocks, and Grad-CAM has nothing to look at. Its
    stages are the stem and each block, so that layer_decay is the field's for transformers, block by block.

    Args:
        num_classes: K, the number of logits.
        width: Channels of the first blocks; they and the heads, of 96 channels, double with every stage.
        depths: Blocks between one halving of the maps and the next.
        num_frames: T of the clips that it reads, and no other; a multiple of 2.
        crop_size: Their height and width; a multiple of 32.
        dropout: Probability of dropping a feature before the last layer, 0..1.
        stochastic_depth: Probability of leaving out the last block in training; it rises to that from 0.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        width: int = 96,
        depths: tuple[int, int, int, int] = (1, 2, 11, 2),
        num_frames: int = 16,
        crop_size: int = 224,
        dropout: float = 0.5,
        stochastic_depth: float = 0.2,
    ) -> None:
        if num_frames < 2 or num_frames % 2 or crop_size < 32 or crop_size % 32:
            raise ValueError(
                f"num_frames is {num_frames} and crop_size {crop_size}; expected multiples of 2 and of 32, "
                "which patches and the maps of every stage divide"
            )
        _require_sizes(width=width, depths=depths)
        super().__init__(
            video.MViT(
                spatial_size=(crop_size, crop_size),
                temporal_size=num_frames,
                block_setting=multiscale_blocks(width, depths),
                residual_pool=True,
                residual_with_cls_embed=False,
                rel_pos_embed=True,
                proj_after_attn=True,
                dropout=dropout,
                stochastic_depth_prob=stochastic_depth,
                num_classes=num_classes,
            )
        )
        self.reads = (num_frames, crop_size, crop_size)

    @property
    def stages(self) -> dict[str, nn.Module]:
        """Return the stem and block0, block1, ..."""
        net: Any = self.net
        blocks = {f"block{nth}": nn.ModuleList([block]) for nth, block in enumerate(net.blocks)}
        return {"stem": nn.ModuleList([net.conv_proj, net.pos_encoding]), **blocks}

    def forward(self, clip: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B K"]:
        require_clip(clip, self.reads, network="MViT", settings="num_frames and crop_size")
        return self.net(clip)


def multiscale_blocks(width: int, depths: tuple[int, int, int, int]) -> list[MSBlockConfig]:
    """Return the blocks of MViTv2 (arXiv:2112.01526, table 9, S).

    The first of every stage but one halves height and width of its queries; keys and values are pooled to the
    same size in all stages.
    """
    blocks: list[MSBlockConfig] = []
    for stage, depth in enumerate(depths):
        channels, pool = width * 2**stage, 8 // 2**stage
        for index in range(depth):
            halves = stage > 0 and index == 0
            blocks.append(
                MSBlockConfig(
                    num_heads=2**stage,
                    input_channels=channels // 2 if halves else channels,
                    output_channels=channels,
                    kernel_q=[3, 3, 3],
                    kernel_kv=[3, 3, 3],
                    stride_q=[1, 2, 2] if halves else [1, 1, 1],
                    stride_kv=[1, pool, pool],
                )
            )
    return blocks


class Swin3D(TorchvisionNetwork):
    """Video Swin Transformer (Liu et al., arXiv:2106.13230), as torchvision's swin3d_t with the defaults.

    It reads clips of any size, and passes maps with channels last: it takes no context blocks, and Grad-CAM
    has nothing to look at. Its stages are the stem and each block, merging of patches with the block behind.

    Args:
        num_classes: K, the number of logits.
        width: Channels of the first blocks, 32 a head; they and the heads double with every stage. 128 in B.
        depths: Blocks between one halving of the maps and the next; (2, 2, 18, 2) in S and B.
        dropout: Probability of dropping a feature, 0..1.
        stochastic_depth: Probability of leaving out the last block in training; it rises to that from 0.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        width: int = 96,
        depths: tuple[int, int, int, int] = (2, 2, 6, 2),
        dropout: float = 0.0,
        stochastic_depth: float = 0.1,
    ) -> None:
        _require_sizes(width=width, depths=depths)
        if width % 32:
            raise ValueError(f"width is {width}; expected a multiple of the 32 channels of a head, as 96")
        super().__init__(
            video.SwinTransformer3d(
                patch_size=[2, 4, 4],
                embed_dim=width,
                depths=[*depths],
                num_heads=[width // 32 * 2**stage for stage in range(len(depths))],
                window_size=[8, 7, 7],
                dropout=dropout,
                stochastic_depth_prob=stochastic_depth,
                num_classes=num_classes,
            )
        )

    @property
    def stages(self) -> dict[str, nn.Module]:
        """Return the stem and block0, block1, ..."""
        net: Any = self.net
        parts: list[nn.Module] = []
        merging: list[nn.Module] = []
        for part in net.features:
            blocks = list(part) if isinstance(part, nn.Sequential) else []
            if not blocks:
                merging = [part]
            for block in blocks:
                parts.append(nn.ModuleList([*merging, block]))
                merging = []
        stem = nn.ModuleList([net.patch_embed])
        return {"stem": stem, **{f"block{nth}": part for nth, part in enumerate(parts)}}


def _require_sizes(*, width: int, depths: tuple[int, ...]) -> None:
    """Refuse a network of no channels, or a stage of no blocks."""
    if width < 1 or min(depths) < 1:
        raise ValueError(f"width is {width} and depths are {[*depths]}; expected at least 1 everywhere")
