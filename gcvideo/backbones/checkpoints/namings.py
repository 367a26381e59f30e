"""What other codebases call the layers of a residual video network: tables, read in both directions.

Between two namings stands a third, which no file has: `stem.conv`, `res3.1.branch2.conv_a`,
`res3.1.context.transform.0`, `head.proj`. A layer is called by the stage of the paper, the residual block in
it, and the name that our network gives the part. A tensor is its layer's name and what it is there:
`res3.1.branch2.conv_a.weight`.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Naming(NamedTuple):
    """What one codebase calls the layers. {i} stands for the number of the residual block in its stage."""

    title: str
    outside: dict[str, str]
    """Layers outside the residual stages: theirs to ours. A name that ends in a dot, here and in `inside`,
    stands for all layers below it, which have the same names on both sides."""
    stages: tuple[str, str, str, str]
    """What stands before the layers of res2, res3, res4 and res5."""
    inside: dict[str, str]
    """Layers of residual block {i}, behind the stage: theirs to ours. Where two of theirs are one of
    ours, the first is written."""
    pixels: str
    """What its recipes normalise pictures with, which no file of weights says."""
    position_axes: int
    """Axes of size 1 behind the weights of linear maps in context blocks, which are convolutions there."""
    image: bool = False
    """Whether its networks are 2-D."""
    unbiased: dict[str, str] = {}  # noqa: RUF012 (never written to)
    """Linear maps of context blocks that have no bias there, and the batch norms behind them."""
    settings: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 (never written to)
    """What its networks and their blocks can be set to, of what no weight shows; the usual value first."""
    not_ours: tuple[str, ...] = ()
    """How keys begin that belong to no classifier: necks and heads of detectors."""


GREY = "mean 0.45, std 0.225"
IMAGENET = "mean 0.485, 0.456, 0.406, std 0.229, 0.224, 0.225"


STRIDES = {"stride_on": ("3x3", "1x1")}

OURS = STRIDES | {
    "position": ("after_add", "after_1x1x1"),
    "instantiation": (
        *("embedded_gaussian", "scaled_embedded_gaussian", "gaussian", "dot_product", "concat"),
    ),
    "subsampling": ("pool_then_conv", "conv_then_pool", "none"),
    "fusion": ("add", "scale", "both"),
    "bottleneck_activation": ("relu", "none"),
}

# mmcv's block for global context, where mmdetection's networks have it.
IMAGE_SETTINGS = STRIDES | {
    "fusion": ("add",),
    "bottleneck_activation": ("relu",),
    "position": ("after_1x1x1",),
}


def _pytorchvideo(
    *stages: int, head: int, architectures: tuple[str, ...], pathway: str = "", beside: Mapping[str, str] = {}
) -> Naming:
    """Return pytorchvideo's naming, which counts top-level blocks; of C2D and I3D block 2 is a temporal pool.

    The stem and the stages are those of one pathway; `beside` it are layers that keep their names.
    """
    res2, res3, res4, res5 = (f"blocks.{number}{pathway}.res_blocks" for number in stages)
    residual = [f"branch2.{kind}_{letter}" for letter in "abc" for kind in ("conv", "norm")]
    residual += ["branch1_conv", "branch1_norm"]
    return Naming(
        title="pytorchvideo",
        outside={
            f"blocks.0{pathway}.conv": "stem.conv",
            f"blocks.0{pathway}.norm": "stem.norm",
            f"blocks.{head}.proj": "head.proj",
            **beside,
        },
        stages=(res2, res3, res4, res5),
        inside={f"{{i}}.{part}": part for part in [*residual, "branch2.conv_b.", "context."]},
        pixels=GREY,
        position_axes=0,
        settings={"architecture": architectures} | OURS,
    )


def _mmaction2(*, pooled: bool) -> Naming:
    """Return MMAction2's naming: keys and values of a non-local block are sequences if a pool follows."""
    behind = ".0" if pooled else ""
    return Naming(
        title="MMAction2",
        outside={
            "backbone.conv1.conv": "stem.conv",
            "backbone.conv1.bn": "stem.norm",
            "cls_head.fc_cls": "head.proj",
        },
        stages=("backbone.layer1", "backbone.layer2", "backbone.layer3", "backbone.layer4"),
        inside={
            "{i}.conv1.conv": "branch2.conv_a",
            "{i}.conv1.bn": "branch2.norm_a",
            "{i}.conv2.conv": "branch2.conv_b",
            "{i}.conv2.bn": "branch2.norm_b",
            "{i}.conv3.conv": "branch2.conv_c",
            "{i}.conv3.bn": "branch2.norm_c",
            "{i}.downsample.conv": "branch1_conv",
            "{i}.downsample.bn": "branch1_norm",
            "{i}.non_local_block.theta.conv": "context.context.query",
            f"{{i}}.non_local_block.phi{behind}.conv": "context.context.key",
            f"{{i}}.non_local_block.g{behind}.conv": "context.context.value",
            "{i}.non_local_block.conv_out.conv": "context.transform.0",
            "{i}.non_local_block.conv_out.bn": "context.transform.1",
        },
        pixels=IMAGENET,
        position_axes=3,
        settings=STRIDES
        | {
            "architecture": ("slow", "i3d_strided", "i3d", "i3d_nopool", "c2d", "c2d_nopool"),
            # mmcv divides unless told not to; MMAction2's I3D configs say use_scale=False, SlowOnly's True.
            "instantiation": ("scaled_embedded_gaussian", "embedded_gaussian", "gaussian", "dot_product"),
            "subsampling": ("conv_then_pool" if pooled else "none",),
            "position": ("after_add",),
        },
        unbiased={"context.transform.0": "context.transform.1"},
    )


# The fast pathway of a SlowFast network, and the convolutions from it to the slow one.
BESIDE_SLOW = {
    "blocks.0.multipathway_blocks.1.": "fast.stem.",
    "blocks.0.multipathway_fusion.": "lateral.stem.",
    **{f"blocks.{n}.multipathway_blocks.1.res_blocks.": f"fast.res{n + 1}." for n in (1, 2, 3, 4)},
    **{f"blocks.{n}.multipathway_fusion.": f"lateral.res{n + 1}." for n in (1, 2, 3, 4)},
}

# He et al.'s names as torchvision writes them, and timm, mmcv and mmdetection after it.
IMAGE_RESIDUAL = {
    "{i}.conv1": "branch2.conv_a",
    "{i}.bn1": "branch2.norm_a",
    "{i}.conv2": "branch2.conv_b",
    "{i}.bn2": "branch2.norm_b",
    "{i}.conv3": "branch2.conv_c",
    "{i}.bn3": "branch2.norm_c",
    "{i}.downsample.0": "branch1_conv",
    "{i}.downsample.1": "branch1_norm",
}


def _image_global_context(**transforms: str) -> dict[str, str]:
    """Return mmcv's ContextBlock with its channel_add and channel_mul as transforms of ours.

    A LayerNorm's weight has the shape [C/r, 1, 1] there.
    """
    layers = {"0": "reduce", "1": "norm", "3": "expand"}
    return {"{i}.context_block.conv_mask": "context.context.key"} | {
        f"{{i}}.context_block.{theirs}_conv.{number}": f"context.{ours}.{layer}"
        for theirs, ours in transforms.items()
        for number, layer in layers.items()
    }


IMAGE_GLOBAL_CONTEXT = _image_global_context(channel_add="transform")

IMAGE_SQUEEZE_EXCITATION = {
    # timm's SEModule, as in its seresnet50.
    "{i}.se.fc1": "context.transform.reduce",
    "{i}.se.fc2": "context.transform.expand",
}

NAMINGS: dict[str, Naming] = {
    # Our own checkpoints as well: every key of a network without blocks is pytorchvideo's.
    "pytorchvideo": _pytorchvideo(
        *(1, 2, 3, 4),
        head=5,
        architectures=("slow", "i3d_nopool", "c2d_nopool", "r2plus1d", "csn"),
    ),
    "pytorchvideo_pooled": _pytorchvideo(
        *(1, 3, 4, 5), head=6, architectures=("i3d", "i3d_strided", "c2d", "c2d_unpadded")
    ),
    "pytorchvideo_slowfast": _pytorchvideo(
        *(1, 2, 3, 4),
        head=6,
        architectures=("slowfast",),
        pathway=".multipathway_blocks.0",
        beside=BESIDE_SLOW,
    ),
    "torchvision": Naming(
        title="torchvision / timm",
        outside={"conv1": "stem.conv", "bn1": "stem.norm", "fc": "head.proj"},
        stages=("layer1", "layer2", "layer3", "layer4"),
        inside=IMAGE_RESIDUAL | IMAGE_GLOBAL_CONTEXT,
        pixels=IMAGENET,
        position_axes=2,
        image=True,
        settings=IMAGE_SETTINGS,
    ),
    "mmdetection": Naming(
        title="mmdetection",
        outside={"backbone.conv1": "stem.conv", "backbone.bn1": "stem.norm"},
        stages=("backbone.layer1", "backbone.layer2", "backbone.layer3", "backbone.layer4"),
        inside=IMAGE_RESIDUAL | IMAGE_GLOBAL_CONTEXT,
        pixels=IMAGENET,
        position_axes=2,
        image=True,
        settings=IMAGE_SETTINGS,
        not_ours=("neck.", "rpn_head.", "roi_head.", "bbox_head.", "mask_head."),
    ),
    "pyslowfast": Naming(
        title="PySlowFast",
        outside={
            "s1.pathway0_stem.conv": "stem.conv",
            "s1.pathway0_stem.bn": "stem.norm",
            "head.projection": "head.proj",
        },
        stages=("s2", "s3", "s4", "s5"),
        inside={
            "pathway0_res{i}.branch1": "branch1_conv",
            "pathway0_res{i}.branch1_bn": "branch1_norm",
            "pathway0_res{i}.branch2.a": "branch2.conv_a",
            "pathway0_res{i}.branch2.a_bn": "branch2.norm_a",
            "pathway0_res{i}.branch2.b": "branch2.conv_b",
            "pathway0_res{i}.branch2.b_bn": "branch2.norm_b",
            "pathway0_res{i}.branch2.c": "branch2.conv_c",
            "pathway0_res{i}.branch2.c_bn": "branch2.norm_c",
            "pathway0_nonlocal{i}.conv_theta": "context.context.query",
            "pathway0_nonlocal{i}.conv_phi": "context.context.key",
            "pathway0_nonlocal{i}.conv_g": "context.context.value",
            "pathway0_nonlocal{i}.conv_out": "context.transform.0",
            "pathway0_nonlocal{i}.bn": "context.transform.1",
            "pathway0_nonlocal{i}.norm": "context.transform.1",  # in its first releases
        },
        pixels=GREY,
        position_axes=3,
        # Its softmax always divides the logits by the square root of the inner width.
        settings=STRIDES
        | {
            "architecture": ("slow", "i3d", "c2d", "i3d_nopool", "c2d_nopool"),
            "instantiation": ("scaled_embedded_gaussian", "dot_product"),
            "subsampling": ("pool_then_conv", "none"),
            "position": ("after_add",),
        },
    ),
    "mmaction2": _mmaction2(pooled=True),
    "mmaction2_unpooled": _mmaction2(pooled=False),
}

BLOCKS: dict[str, tuple[dict[str, str], str]] = {
    # Blocks of image networks that share names with others of ours, and how they fuse: a naming for each.
    "scale": (_image_global_context(channel_mul="transform"), "scale"),
    "both": (
        _image_global_context(channel_mul="transform.transforms.0", channel_add="transform.transforms.1"),
        "both",
    ),
    "squeeze": (IMAGE_SQUEEZE_EXCITATION, "scale"),
}
NAMINGS |= {
    f"{base}_{blocks}": NAMINGS[base]._replace(
        inside=IMAGE_RESIDUAL | inside, settings=NAMINGS[base].settings | {"fusion": (fusion,)}
    )
    for base in ("torchvision", "mmdetection")
    for blocks, (inside, fusion) in BLOCKS.items()
    if (base, blocks) != ("mmdetection", "squeeze")
}
