"""Small networks whose layers are called, and work, as other codebases document them.

Only what names and numbers depend on: PySlowFast's networks of one pathway with non-local blocks, MMAction2's
(3-D, and 2-D ones that see frame by frame), and mmcv's block for global context in an image network.
"""

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

BLOCKS = (3, 4, 6, 3)
FRAMES = {
    # That the stem's convolution, and the first ones of the bottlenecks of res2..res5 in turn, look at.
    "slow": (1, ((1,), (1,), (3,), (3,))),
    "i3d": (5, ((3,), (3, 1), (3, 1), (1, 3))),
    "c2d": (1, ((1,), (1,), (1,), (1,))),
}


def conv(
    inputs: int, outputs: int, frames: int = 1, side: int = 1, stride: int = 1, time_stride: int = 1
) -> nn.Conv3d:
    kernel, padding = (frames, side, side), (frames // 2, side // 2, side // 2)
    stride_of = (time_stride, stride, stride)
    return nn.Conv3d(inputs, outputs, kernel, stride=stride_of, padding=padding, bias=False)


class SlowFastNonlocal(nn.Module):
    """Pooled before conv_phi and conv_g; softmax takes logits / sqrt(C / 2), dot_product their mean."""

    def __init__(self, channels: int, pool: tuple[int, int, int], instantiation: str) -> None:
        super().__init__()
        self.pool, self.instantiation = pool, instantiation
        self.conv_theta = nn.Conv3d(channels, channels // 2, 1)
        self.conv_phi = nn.Conv3d(channels, channels // 2, 1)
        self.conv_g = nn.Conv3d(channels, channels // 2, 1)
        self.conv_out = nn.Conv3d(channels // 2, channels, 1)
        self.bn = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        pooled = nn.functional.max_pool3d(x, self.pool)
        theta, phi, g = self.conv_theta(x), self.conv_phi(pooled), self.conv_g(pooled)
        pairs = torch.einsum("ncq,ncp->nqp", theta.flatten(2), phi.flatten(2))
        if self.instantiation == "softmax":
            weights = (pairs * theta.shape[1] ** -0.5).softmax(2)
        else:
            weights = pairs / pairs.shape[2]
        y = torch.einsum("nqp,ncp->ncq", weights, g.flatten(2)).reshape(theta.shape)
        return x + self.bn(self.conv_out(y))


class SlowFastBottleneck(nn.Module):
    def __init__(self, inputs: int, inner: int, frames: int, stride: int, stride_1x1: bool) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_1x1 else (1, stride)
        self.a, self.a_bn = conv(inputs, inner, frames, stride=first), nn.BatchNorm3d(inner)
        self.b, self.b_bn = conv(inner, inner, side=3, stride=second), nn.BatchNorm3d(inner)
        self.c, self.c_bn = conv(inner, 4 * inner), nn.BatchNorm3d(4 * inner)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a_bn(self.a(x)).relu()
        return self.c_bn(self.c(self.b_bn(self.b(x)).relu()))


class SlowFastResBlock(nn.Module):
    def __init__(self, inputs: int, inner: int, frames: int, stride: int, stride_1x1: bool) -> None:
        super().__init__()
        if inputs != 4 * inner or stride != 1:
            self.branch1, self.branch1_bn = conv(inputs, 4 * inner, stride=stride), nn.BatchNorm3d(4 * inner)
        self.branch2 = SlowFastBottleneck(inputs, inner, frames, stride, stride_1x1)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.branch1_bn(self.branch1(x)) if hasattr(self, "branch1") else x
        return (shortcut + self.branch2(x)).relu()


class SlowFastSlow(nn.Module):
    """PySlowFast's network ResNet: s1 ... s5, head; `nonlocals` as {stage: blocks}.

    Arch c2d and i3d halve the frames behind s2, c2d_nopool and i3d_nopool do not.
    """

    def __init__(
        self,
        num_classes: int,
        width: int,
        nonlocals: dict[int, list[int]],
        *,
        arch: str = "slow",
        stride_1x1: bool = False,
        pool: tuple[int, int, int] = (1, 2, 2),
        instantiation: str = "softmax",
    ) -> None:
        super().__init__()
        self.halves_time = arch in ("c2d", "i3d")
        stem_frames, frames_of_stages = FRAMES[arch.removesuffix("_nopool")]
        stem = nn.Module()
        stem.conv = conv(3, width, stem_frames, side=7, stride=2)
        stem.bn = nn.BatchNorm3d(width)
        self.s1 = nn.Module()
        self.s1.pathway0_stem = stem
        self.nonlocals, inputs = nonlocals, width
        for number, (blocks, frames) in enumerate(zip(BLOCKS, frames_of_stages, strict=True), start=2):
            stage, inner = nn.Module(), width * 2 ** (number - 2)
            for index in range(blocks):
                stride = 2 if index == 0 and number > 2 else 1
                block = SlowFastResBlock(inputs, inner, frames[index % len(frames)], stride, stride_1x1)
                stage.add_module(f"pathway0_res{index}", block)
                inputs = 4 * inner
                if index in nonlocals.get(number, []):
                    nonlocal_block = SlowFastNonlocal(inputs, pool, instantiation)
                    stage.add_module(f"pathway0_nonlocal{index}", nonlocal_block)
            self.add_module(f"s{number}", stage)
        self.head = nn.Module()
        self.head.projection = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        stem = self.s1.pathway0_stem
        x = nn.functional.max_pool3d(stem.bn(stem.conv(x)).relu(), (1, 3, 3), (1, 2, 2), (0, 1, 1))
        for number in range(2, 6):
            for layer in self.get_submodule(f"s{number}").children():
                x = layer(x)
            if number == 2 and self.halves_time:
                x = nn.functional.max_pool3d(x, (2, 1, 1))
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
    """sub_sample pools behind g and phi, which are sequences then; use_scale divides by sqrt(C / 2).

    Only mode embedded_gaussian is scaled; gaussian has neither theta nor a convolution phi.
    """

    def __init__(
        self, channels: int, *, use_scale: bool, sub_sample: bool, mode: str = "embedded_gaussian"
    ) -> None:
        super().__init__()
        self.use_scale, self.mode = use_scale, mode
        theta, phi, g = (
            ConvModule(nn.Conv3d(channels, channels // 2, 1), norm=False) for _ in ("theta", "phi", "g")
        )
        pool = nn.MaxPool3d((1, 2, 2))
        self.g = nn.Sequential(g, pool) if sub_sample else g
        self.conv_out = ConvModule(conv(channels // 2, channels), norm=True)
        if mode == "gaussian":
            self.phi = pool if sub_sample else nn.Identity()
        else:
            self.theta = theta
            self.phi = nn.Sequential(phi, pool) if sub_sample else phi

    def forward(self, x: Tensor) -> Tensor:
        theta = x if self.mode == "gaussian" else self.theta(x)
        phi, g = self.phi(x).flatten(2), self.g(x).flatten(2)
        weight = theta.flatten(2).mT @ phi
        if self.mode == "embedded_gaussian" and self.use_scale:
            weight = weight / theta.shape[1] ** 0.5
        weight = weight / weight.shape[-1] if self.mode == "dot_product" else weight.softmax(-1)
        y = weight @ g.mT
        return x + self.conv_out(y.mT.reshape(len(x), g.shape[1], *x.shape[2:]))


class MmactionBottleneck(nn.Module):
    """Style pytorch has its stride on conv2, caffe on conv1."""

    def __init__(
        self, inputs: int, inner: int, frames: int, stride: int, style: str, non_local: nn.Module | None
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if style == "caffe" else (1, stride)
        self.conv1 = ConvModule(conv(inputs, inner, frames, stride=first), norm=True)
        self.conv2 = ConvModule(conv(inner, inner, side=3, stride=second), norm=True)
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
    """MMAction2's Recognizer3D: ResNet3dSlowOnly or ResNet3d, and I3DHead; `non_local` as {layer: blocks}."""

    def __init__(
        self,
        num_classes: int,
        width: int,
        non_local: dict[int, list[int]],
        *,
        frames: str = "slow",
        style: str = "pytorch",
        conv1_stride_t: int = 1,
        pool1_stride_t: int = 1,
        with_pool2: bool = False,
        **settings: bool | str,
    ) -> None:
        super().__init__()
        self.pool1_stride_t, self.with_pool2 = pool1_stride_t, with_pool2
        stem_frames, frames_of_stages = FRAMES[frames]
        self.backbone = nn.Module()
        stem = conv(3, width, stem_frames, side=7, stride=2, time_stride=conv1_stride_t)
        self.backbone.conv1 = ConvModule(stem, norm=True)
        inputs = width
        for number, (blocks, lengths) in enumerate(zip(BLOCKS, frames_of_stages, strict=True), start=1):
            inner, layer = width * 2 ** (number - 1), []
            for index in range(blocks):
                stride = 2 if index == 0 and number > 1 else 1
                block = None
                if index in non_local.get(number, []):
                    block = MmcvNonLocal3d(4 * inner, **settings)
                length = lengths[index % len(lengths)]
                layer.append(MmactionBottleneck(inputs, inner, length, stride, style, block))
                inputs = 4 * inner
            self.backbone.add_module(f"layer{number}", nn.Sequential(*layer))
        self.cls_head = nn.Module()
        self.cls_head.fc_cls = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.backbone.conv1(x).relu()
        x = nn.functional.max_pool3d(x, (1, 3, 3), (self.pool1_stride_t, 2, 2), (0, 1, 1))
        for number in range(1, 5):
            x = self.backbone.get_submodule(f"layer{number}")(x)
            if number == 1 and self.with_pool2:
                x = nn.functional.max_pool3d(x, (2, 1, 1))
        return self.cls_head.fc_cls(x.mean((2, 3, 4)))


class MmactionFramewise(nn.Module):
    """MMAction2's 2-D ResNet, here with convolutions of one frame; its state dict loses that axis.

    TSN means the scores of the frames; C2D pools 3 x 3 unpadded, and pairs of frames behind layer1.
    """

    def __init__(self, num_classes: int, width: int, *, c2d: bool) -> None:
        super().__init__()
        self.c2d = c2d
        self.inside = MmactionSlowOnly(num_classes, width, {}, frames="c2d")

    def forward(self, x: Tensor) -> Tensor:
        backbone, fc_cls = self.inside.backbone, self.inside.cls_head.fc_cls
        frames = x.transpose(1, 2).flatten(0, 1).unsqueeze(2)  # B*T 3 1 H W
        frames = nn.functional.max_pool3d(
            backbone.conv1(frames).relu(), (1, 3, 3), (1, 2, 2), (0, 0, 0) if self.c2d else (0, 1, 1)
        )
        frames = backbone.layer1(frames)
        if self.c2d:
            pairs = frames.unflatten(0, (len(x), -1, 2))  # B T/2 2 C 1 H W
            frames = pairs.amax(2).flatten(0, 1)
        frames = backbone.layer4(backbone.layer3(backbone.layer2(frames)))
        scores = fc_cls(frames.mean((2, 3, 4)))
        return scores.unflatten(0, (len(x), -1)).mean(1)

    def state(self) -> dict[str, Tensor]:
        """As a 2-D network has it."""
        return {key: t.squeeze(2) if t.ndim == 5 else t for key, t in self.inside.state_dict().items()}


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
