"""Residual networks of basic blocks: two 3 x 3 convolutions each, for 18 and 34 layers (He et al.)."""

# pytorchvideo annotates its parts as optional or required the other way round.
# pyright: reportArgumentType=false

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from pytorchvideo.models.head import create_res_basic_head
from pytorchvideo.models.net import Net
from pytorchvideo.models.resnet import ResBlock, ResStage
from pytorchvideo.models.stem import create_res_basic_stem
from torch import Tensor, nn

Kernel = tuple[int, int, int]

BLOCKS_OF_DEPTH = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""He et al., arXiv:1512.03385, table 1."""


class BasicBranch(nn.Module):
    """T x 3 x 3, norm, ReLU, 1 x 3 x 3, norm.

    Spatial kernels, stride and widths are He et al.'s, so that weights of images can be inflated. The first
    convolution looks along time, as in PySlowFast's BasicTransform ("Tx3x3, 1x3x3"; its stages are four times
    as wide); MMAction2's BasicBlock3d has two of 3 x 3 x 3.
    """

    def __init__(self, channels_in: int, channels: int, *, num_frames: int, stride: int) -> None:
        super().__init__()
        conv = partial(nn.Conv3d, bias=False)
        kernel, padding = (num_frames, 3, 3), (num_frames // 2, 1, 1)
        self.conv_a = conv(channels_in, channels, kernel, (1, stride, stride), padding)
        self.norm_a = nn.BatchNorm3d(channels)
        self.act_a = nn.ReLU()
        self.conv_b = conv(channels, channels, (1, 3, 3), padding=(0, 1, 1))
        self.norm_b = nn.BatchNorm3d(channels)
        self.norm_b.block_final_bn = True  # pytorchvideo's initialisation starts its weight at 0

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C2 T H2 W2"]:
        return self.norm_b(self.conv_b(self.act_a(self.norm_a(self.conv_a(x)))))


def basic_block(channels_in: int, channels: int, *, num_frames: int, stride: int) -> ResBlock:
    """Return relu(x + F(x)), with x projected where the stride or the number of channels is another."""
    projects = stride > 1 or channels_in != channels
    projection = nn.Conv3d(channels_in, channels, 1, (1, stride, stride), bias=False) if projects else None
    return ResBlock(
        branch1_conv=projection,
        branch1_norm=nn.BatchNorm3d(channels) if projects else None,
        branch2=BasicBranch(channels_in, channels, num_frames=num_frames, stride=stride),
        activation=nn.ReLU(),
        branch_fusion=torch.add,
    )


def create_basic_resnet(
    *,
    num_classes: int,
    depth: int,
    dropout: float,
    stem_channels: int,
    stem_kernel: Kernel,
    stem_strides: tuple[int, int],
    stem_pool: Callable[..., nn.Module],
    first_kernels: Sequence[Sequence[Kernel]],
    pool_after_res2: Callable[..., nn.Module] | None,
) -> nn.Module:
    """Return a network of basic blocks in the form of pytorchvideo's: a stem, stages and a head as `blocks`.

    Args:
        num_classes: K.
        depth: 18 or 34.
        dropout: Before the last layer.
        stem_channels: C after the stem and in res2; every later stage has twice as many as the one before.
        stem_kernel: Of the stem's convolution.
        stem_strides: In time, of the stem's convolution and of its pool.
        stem_pool: Makes the stem's pool.
        first_kernels: Of res2..res5, how the first convolutions look along time, repeated along a stage.
        pool_after_res2: Makes the pool that halves the number of frames, where there is one.
    """
    blocks: list[nn.Module] = [
        create_res_basic_stem(
            in_channels=3,
            out_channels=stem_channels,
            conv_kernel_size=stem_kernel,
            conv_stride=(stem_strides[0], 2, 2),
            conv_padding=tuple(size // 2 for size in stem_kernel),
            pool=stem_pool,
            pool_kernel_size=(1, 3, 3),
            pool_stride=(stem_strides[1], 2, 2),
            pool_padding=(0, 1, 1),
        )
    ]
    channels_in = stem_channels
    for nth, (num_blocks, kernels) in enumerate(zip(BLOCKS_OF_DEPTH[depth], first_kernels, strict=True)):
        channels = stem_channels * 2**nth
        residuals = []
        for index in range(num_blocks):
            num_frames = kernels[index % len(kernels)][0]
            stride = 2 if nth > 0 and index == 0 else 1
            residuals.append(basic_block(channels_in, channels, num_frames=num_frames, stride=stride))
            channels_in = channels
        blocks.append(ResStage(nn.ModuleList(residuals)))
        if nth == 0 and pool_after_res2 is not None:
            blocks.append(pool_after_res2(kernel_size=(2, 1, 1), stride=(2, 1, 1), padding=(0, 0, 0)))
    head = create_res_basic_head(
        in_features=channels_in, out_features=num_classes, pool=nn.AdaptiveAvgPool3d, dropout_rate=dropout
    )
    return Net(blocks=nn.ModuleList([*blocks, head]))
