"""Image networks that have the names of ResNets, or nearly, and that no network here can be made from."""

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

from gcvideo.backbones.checkpoints.files import Checkpoint

SIGNS = {
    r"conv1\.0|stem\.conv2(\.conv)?|stem\.0": "a stem of several convolutions (ResNet-C, ResNet-D)",
    r"downsample\.2|shortcut\.conv": "shortcuts that pool first (ResNet-D)",
    r"(se|attn)\.conv_attn": "global-context blocks of timm, whose norms have another epsilon",
    r"se\.conv": "efficient channel attention (ECA)",
    r"conv2\.fc1": "split attention (ResNeSt)",
    r"conv2\.paths\.0\.conv": "selective kernels (SKNet)",
    r"layer0\.conv1": "the strides of timm's legacy SE networks",
    r"conv2\.conv_offset": "deformable convolutions",
}
"""What the last parts of a layer's name say, as regular expressions."""

ANTI_ALIASED = re.compile(r"(ecaresnet|seresnet|resnet)(aa|blur)")
"""timm's architectures that pool where a ResNet strides, which no weight shows."""


def refuse_variants(checkpoint: Checkpoint) -> None:
    """Raise ValueError for an image network that has what no network here does."""
    found = list(dict.fromkeys(_found(checkpoint)))
    if found:
        raise ValueError(
            f"{checkpoint.path}: its network has {' and '.join(found)}, which no network here has; expected "
            "weights of a plain ResNet-18, 34, 50, 101 or 152, as torchvision's or timm's resnet50"
        )


def _found(checkpoint: Checkpoint) -> Iterator[str]:
    state = checkpoint.state
    for sign, said in SIGNS.items():
        if any(re.search(rf"(^|\.)({sign})\.weight$", key) for key in state):
            yield said
    for second in _kernels(state, r"layer\d\.\d+\.conv2"):
        if second.shape[0] != second.shape[1]:
            yield f"convolutions in {len(second) // second.shape[1]} groups (ResNeXt)"
    for stem in _kernels(state, "conv1"):
        if any(len(first) > len(stem) for first in _kernels(state, r"layer1\.0\.conv1")):
            yield "wide bottlenecks (wide ResNet)"
    if ANTI_ALIASED.match(str(checkpoint.record.get("arch"))):
        yield f"pools for strides ({checkpoint.record['arch']})"


def _kernels(state: Mapping[str, Tensor], name: str) -> list[Tensor]:
    """Return the image kernels of the layers of a name."""
    found = [tensor for key, tensor in state.items() if re.fullmatch(rf"(backbone\.)?{name}\.weight", key)]
    return [kernel for kernel in found if kernel.ndim == 4]
