"""The weights of a file under the names of another codebase, as that keeps them."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch

from gcvideo.backbones.checkpoints.configurations import Skeleton, mmlab, pyslowfast
from gcvideo.backbones.checkpoints.files import Checkpoint, refuse_non_finite
from gcvideo.backbones.checkpoints.inflation import Inflation, inflate
from gcvideo.backbones.checkpoints.kinds import KINDS
from gcvideo.backbones.checkpoints.loading import complete, refuse_folded
from gcvideo.backbones.checkpoints.namings import NAMINGS
from gcvideo.backbones.checkpoints.recognition import Recognised, recognise
from gcvideo.backbones.checkpoints.renaming import write_naming
from gcvideo.backbones.checkpoints.variants import refuse_variants
from gcvideo.backbones.resnet import ARCHITECTURES, ArchitectureName, VideoResNet
from gcvideo.words import NamingTarget as Target

log = logging.getLogger(__name__)


class Wrapped(NamedTuple):
    """How a codebase keeps a state dict in its checkpoints, beside the configuration of the network."""

    inside: str
    beside: Callable[[str], dict[str, Any]]
    configuration: Callable[[Mapping[str, str], Skeleton], str]


WRAPPED: dict[str, Wrapped] = {
    "pyslowfast": Wrapped("model_state", lambda text: {"cfg": text}, pyslowfast.write),
    "mmaction2": Wrapped("state_dict", lambda text: {"meta": {"cfg": text}}, mmlab.write),
}


def convert(
    checkpoint: Checkpoint,
    source: Recognised,
    *,
    to: Target,
    architecture: ArchitectureName | None,
    inflation: Inflation,
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the weights under the names of `to`, and what their network is set to.

    They are inflated if they come from images and go to clips.

    Raises:
        ValueError: Keys have no name, batch norms are folded, 2-D weights have no architecture to be inflated
            to, or the target has no name for a layer or computes something else.
    """
    # Refuse what would not compute the same
    refuse_folded(checkpoint, source)
    refuse_variants(checkpoint)
    refuse_non_finite(checkpoint)
    refused = f"{checkpoint.path} ({source}): nothing was converted, since"
    if source.named.unknown:
        raise ValueError(f"{refused} there is no name for: {', '.join(source.named.unknown)}")
    if source.foreign:
        said = ", ".join(setting for _, setting in source.foreign)
        raise ValueError(f"{refused} its network was trained with {said}, which nothing here has")

    # Inflate weights of images
    state, _ = complete(source.named.state)
    settings = {name: values[0] for name, values in source.settings.items()}
    inflates = source.image and (to == "gcvideo" or not NAMINGS[to].image)
    if inflates:
        settings["architecture"] = architecture or settings.get("architecture", "")
        if settings["architecture"] not in ARCHITECTURES or source.depth is None:
            raise ValueError(
                f"{checkpoint.path} ({source}) is of images; inflate it: --architecture slow, i3d or c2d"
            )
        with torch.device("meta"):
            network = VideoResNet(
                1,
                architecture=settings["architecture"],  # pyright: ignore[reportArgumentType]
                depth=source.depth,
                width=source.width,
            )
        own = recognise(Checkpoint(checkpoint.path, dict(network.state_dict()), [], {}))
        state = inflate(state, {k: v.shape for k, v in own.named.state.items()}, inflation=inflation)
    elif to == "gcvideo" and source.architecture is None:
        raise ValueError(f"{refused} it is no Slow-only, I3D or C2D network; none of ours fits")

    # Say what is assumed, and rename
    left_open = {name: value for name, value in settings.items() if len(source.settings.get(name, ())) > 1}
    if inflates:
        left_open.pop("architecture", None)
    if left_open:
        assumed = ", ".join(f"{name} {value}" for name, value in left_open.items())
        log.info("%s leaves open, and is taken to have: %s", checkpoint.path, assumed)
    return write_naming(state, _naming(to, source, settings, refused)), settings


def _naming(to: Target, source: Recognised, settings: Mapping[str, str], refused: str) -> str:
    """Return the naming of the target whose networks have such blocks, and can be set so.

    Raises:
        ValueError: None can.
    """
    able = [name for name in NAMINGS if name.startswith("pytorchvideo" if to == "gcvideo" else to)]
    if (
        source.skeleton.layers_of_block == 2 and to in WRAPPED
    ):  # both of 3x3x3 in MMAction2, wider in PySlowFast
        raise ValueError(f"{refused} it has basic blocks, and those of {NAMINGS[able[0]].title} are others")
    others = {*source.blocks.values()} - {known.kind for known in KINDS}
    if others and to != "gcvideo":
        title = NAMINGS[able[0]].title
        raise ValueError(f"{refused} it has {' and '.join(others)} blocks, and {title} has none")
    if "squeeze-excitation" in source.blocks.values():
        title = NAMINGS[able[0]].title
        able = [name for name in able if name.endswith("_squeeze") or to == "gcvideo"]
        if not able:
            raise ValueError(f"{refused} it has squeeze-excitation blocks, and {title} has none")
    else:
        able = [name for name in able if not name.endswith("_squeeze")]
    for setting, value in settings.items():
        possible = {name: _settings_of_target(name).get(setting, (value,)) for name in able}
        able = [name for name in able if value in possible[name]]
        if not able:
            title = NAMINGS[next(iter(possible))].title
            values = dict.fromkeys(value for values in possible.values() for value in values)
            raise ValueError(
                f"{refused} it has {setting} {value}, and {title} has {' or '.join(values)} only"
            )
    return able[0]


def _settings_of_target(naming: str) -> dict[str, tuple[str, ...]]:
    """Return what networks of a codebase can be set to."""
    settings = dict(NAMINGS[naming].settings)
    if NAMINGS[naming].image:
        settings["architecture"] = ("c2d_nopool", "c2d")
    if naming.startswith("torchvision"):  # files with its names may have them elsewhere
        settings["stride_on"] = ("3x3",)
    return settings
