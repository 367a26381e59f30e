"""Small networks whose layers are called, and work, as other codebases document them.

Only what names and numbers depend on: PySlowFast's Slow-only network with non-local blocks, MMAction2's, and
mmcv's block for global context in an image network.
"""

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

BLOCKS = (3, 4, 6, 3)
FRAMES = (1, 1, 3, 3)  # that the first convolution of a bottleneck looks at, in res2..res5


def conv(inputs: int, outputs: int, frames: int = 1, side: int = 1, stride: int = 1) -> nn.Conv3d:
    kernel, padding = (frames, side, side), (frames // 2, side // 2, side // 2)
    return nn.Conv3d(inputs, outputs, kernel, stride=(1, stride, stride), padding=padding, bias=False)


class SlowFastNonlocal(nn.Module):
    """Pooled 1 x 2 x 2 before conv_phi and conv_g; the softmax takes logits / sqrt(C / 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_theta = nn.Conv3d(channels, channels // 2, 1)
        self.conv_phi = nn.Conv3d(channels, channels // 2, 1)
        self.conv_g = nn.Conv3d(channels, channels // 2, 1)
        self.conv_out = nn.Conv3d(channels // 2, channels, 1)
        self.bn = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        pooled = nn.functional.max_pool3d(x, (1, 2, 2))
        theta, phi, g = self.conv_theta(x), self.conv_phi(pooled), self.conv_g(pooled)
        logits = torch.einsum("ncq,ncp->nqp", theta.flatten(2), phi.flatten(2)) * theta.shape[1] ** -0.5
        y = torch.einsum("nqp,ncp->ncq", logits.softmax(2), g.flatten(2)).reshape(theta.shape)
        return x + self.bn(self.conv_out(y))


class SlowFastBottleneck(nn.Module):
    def __init__(self, inputs: int, inner: int, frames: int, stride: int) -> None:
        super().__init__()
        self.a, self.a_bn = conv(inputs, inner, frames), nn.BatchNorm3d(inner)
        self.b, self.b_bn = conv(inner, inner, side=3, stride=stride), nn.BatchNorm3d(inner)
        self.c, self.c_bn = conv(inner, 4 * inner), nn.BatchNorm3d(4 * inner)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a_bn(self.a(x)).relu()
        return self.c_bn(self.c(self.b_bn(self.b(x)).relu()))


class SlowFastResBlock(nn.Module):
    def __init__(self, inputs: int, inner: int, frames: int, stride: int) -> None:
        super().__init__()
        if inputs != 4 * inner or stride != 1:
            self.branch1, self.branch1_bn = conv(inputs, 4 * inner, stride=stride), nn.BatchNorm3d(4 * inner)
        self.branch2 = SlowFastBottleneck(inputs, inner, frames, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.branch1_bn(self.branch1(x)) if hasattr(self, "branch1") else x
        return (shortcut + self.branch2(x)).relu()


class SlowFastSlow(nn.Module):
    """PySlowFast's network ResNet with ARCH slow: s1 ... s5, head; `nonlocals` as {stage: blocks}."""

    def __init__(self, num_classes: int, width: int, nonlocals: dict[int, list[int]]) -> None:
        super().__init__()
        stem = nn.Module()
        stem.conv = nn.Conv3d(3, width, (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False)
        stem.bn = nn.BatchNorm3d(width)
        self.s1 = nn.Module()
        self.s1.pathway0_stem = stem
        self.nonlocals, inputs = nonlocals, width
        for number, (blocks, frames) in enumerate(zip(BLOCKS, FRAMES, strict=True), start=2):
            stage, inner = nn.Module(), width * 2 ** (number - 2)
            for index in range(blocks):
                stride = 2 if index == 0 and number > 2 else 1
                stage.add_module(f"pathway0_res{index}", SlowFastResBlock(inputs, inner, frames, stride))
                inputs = 4 * inner
                if index in nonlocals.get(number, []):
                    stage.add_module(f"pathway0_nonlocal{index}", SlowFastNonlocal(inputs))
            self.add_module(f"s{number}", stage)
        self.head = nn.Module()
        self.head.projection = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        stem = self.s1.pathway0_stem
        x = nn.functional.max_pool3d(stem.bn(stem.conv(x)).relu(), (1, 3, 3), (1, 2, 2), (0, 1, 1))
        for number in range(2, 6):
            for layer in self.get_submodule(f"s{number}").children():
                x = layer(x)
        return self.head.projection(x.mean((2, 3, 4)))


class ConvModule(nn.Module):
    """mmcv's: conv, and bn where there is one; a convolution before a norm has no bias."""

    def __init__(self, convolution: nn.Conv3d, *, norm: bool) -> None:
        super().__init__()
        self.conv = convolution
        if norm:
            self.bn = nn.BatchNorm3d(convolution.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)) if hasattr(self, "bn") else self.conv(x)


class MmcvNonLocal3d(nn.Module):
    """sub_sample pools behind g and phi, which are sequences then; use_scale divides by sqrt(C / 2)."""

    def __init__(self, channels: int, *, use_scale: bool, sub_sample: bool) -> None:
        super().__init__()
        self.use_scale = use_scale
        theta, phi, g = (
            ConvModule(nn.Conv3d(channels, channels // 2, 1), norm=False) for _ in ("theta", "phi", "g")
        )
        pool = nn.MaxPool3d((1, 2, 2))
        self.g = nn.Sequential(g, pool) if sub_sample else g
        self.conv_out = ConvModule(conv(channels // 2, channels), norm=True)
        self.theta = theta
        self.phi = nn.Sequential(phi, pool) if sub_sample else phi

    def forward(self, x: Tensor) -> Tensor:
        theta, phi, g = self.theta(x), self.phi(x).flatten(2), self.g(x).flatten(2)
        weight = theta.flatten(2).mT @ phi
        if self.use_scale:
            weight = weight / theta.shape[1] ** 0.5
        y = weight.softmax(-1) @ g.mT
        return x + self.conv_out(y.mT.reshape(theta.shape))


class MmactionBottleneck(nn.Module):
    def __init__(
        self, inputs: int, inner: int, frames: int, stride: int, non_local: nn.Module | None
    ) -> None:
        super().__init__()
        self.conv1 = ConvModule(conv(inputs, inner, frames), norm=True)
        self.conv2 = ConvModule(conv(inner, inner, side=3, stride=stride), norm=True)
        self.conv3 = ConvModule(conv(inner, 4 * inner), norm=True)
        self.downsample = None
        if inputs != 4 * inner or stride != 1:
            self.downsample = ConvModule(conv(inputs, 4 * inner, stride=stride), norm=True)
        if non_local is not None:
            self.non_local_block = non_local

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv3(self.conv2(self.conv1(x).relu()).relu())
        out = (out + (x if self.downsample is None else self.downsample(x))).relu()
        return self.non_local_block(out) if hasattr(self, "non_local_block") else out


class MmactionSlowOnly(nn.Module):
    """MMAction2's Recognizer3D of ResNet3dSlowOnly and I3DHead; `non_local` as {layer: blocks}."""

    def __init__(
        self, num_classes: int, width: int, non_local: dict[int, list[int]], **settings: bool
    ) -> None:
        super().__init__()
        self.backbone = nn.Module()
        stem = nn.Conv3d(3, width, (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False)
        self.backbone.conv1 = ConvModule(stem, norm=True)
        inputs = width
        for number, (blocks, frames) in enumerate(zip(BLOCKS, FRAMES, strict=True), start=1):
            inner, layer = width * 2 ** (number - 1), []
            for index in range(blocks):
                stride = 2 if index == 0 and number > 1 else 1
                block = None
                if index in non_local.get(number, []):
                    block = MmcvNonLocal3d(4 * inner, **settings)
                layer.append(MmactionBottleneck(inputs, inner, frames, stride, block))
                inputs = 4 * inner
            self.backbone.add_module(f"layer{number}", nn.Sequential(*layer))
        self.cls_head = nn.Module()
        self.cls_head.fc_cls = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.backbone.conv1(x).relu()
        x = nn.functional.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        for number in range(1, 5):
            x = self.backbone.get_submodule(f"layer{number}")(x)
        return self.cls_head.fc_cls(x.mean((2, 3, 4)))


class MmcvContextBlock(nn.Module):
    """Attention pooling, channel_add and channel_mul: convolutions of size 1, a LayerNorm of [C/r, 1, 1]."""

    def __init__(self, channels: int, ratio: float, fusions: tuple[str, ...] = ("channel_add",)) -> None:
        super().__init__()
        inner = int(channels * ratio)
        self.conv_mask = nn.Conv2d(channels, 1, 1)
        for fusion in fusions:
            transform = nn.Sequential(
                nn.Conv2d(channels, inner, 1),
                nn.LayerNorm([inner, 1, 1]),
                nn.ReLU(),
                nn.Conv2d(inner, channels, 1),
            )
            self.add_module(f"{fusion}_conv", transform)

    def forward(self, x: Tensor) -> Tensor:
        mask = self.conv_mask(x).flatten(2).softmax(2)  # B 1 P
        context = (x.flatten(2) @ mask.mT).unsqueeze(-1)  # B C 1 1
        if hasattr(self, "channel_mul_conv"):
            x = x * self.channel_mul_conv(context).sigmoid()
        return x + self.channel_add_conv(context) if hasattr(self, "channel_add_conv") else x


class ContextBottleneck(Bottleneck):
    """mmdetection's plugin `after_conv3`: behind the last norm, before the addition."""

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(out)))))
        return self.relu(self.context_block(out) + shortcut)


def image_network_with_context(ratio: float, *fusions: str) -> ResNet:
    """ResNet-50 with a block in all of layer2..layer4, as the model zoo of mmdetection has it."""
    network = ResNet(Bottleneck, list(BLOCKS), num_classes=10)
    for layer in (network.layer2, network.layer3, network.layer4):
        for block in layer:
            block.context_block = MmcvContextBlock(block.bn3.num_features, ratio, fusions or ("channel_add",))
            block.__class__ = ContextBottleneck
    return network
