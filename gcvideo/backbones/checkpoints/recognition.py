"""Whose weights a file holds, and of which network."""

import json
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from torch import Tensor

from gcvideo.backbones.checkpoints.files import Checkpoint
from gcvideo.backbones.checkpoints.namings import NAMINGS
from gcvideo.backbones.checkpoints.renaming import STAGE_NAMES, Named, read_naming
from gcvideo.backbones.checkpoints.variants import refuse_variants

DEPTH_OF_BLOCKS: dict[tuple[int, ...], int] = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152}

Architecture = Literal["slow", "i3d", "c2d"]

ARCHITECTURE_OF_KERNELS: dict[tuple[int, ...], Architecture] = {
    # Frames that the stem and the first blocks of res2 and res4 look at.
    (1, 1, 1): "c2d",
    (1, 1, 3): "slow",
    (5, 3, 3): "i3d",
}

KIND_OF_BLOCK = {
    # The first layer that a context block has tells its kind.
    "context.transform.1.weight": "non-local",
    "context.transform.weight": "simplified non-local",
    "context.context.value.weight": "simplified non-local",
    "context.transform.norm.weight": "global context",
    "context.transform.transforms.0.reduce.weight": "global context",
    "context.context.key.weight": "global context",
    "context.transform.reduce.weight": "squeeze-excitation",
}


class Recognised(NamedTuple):
    """Weights of a residual network under the names between two namings, and what they tell of it."""

    format: str
    named: Named
    depth: int | None
    """None for blocks that no bottleneck network of 50, 101 or 152 layers has."""
    architecture: Architecture | None
    """slow, i3d or c2d by the kernels that look along time; None for 2-D networks and for others."""
    width: float
    num_classes: int | None
    blocks: dict[str, str]
    """Residual blocks with a context block, as res3.1, and its kind."""
    settings: dict[str, tuple[str, ...]]
    """What the file tells of settings that no weight has: the values that may be meant."""
    clip: str | None
    """Frames and stride of the clips that it was trained on, as 8x8, where the file says."""
    folded: bool
    """Whether batch norms are folded into convolutions."""
    wrappers: list[str]

    @property
    def image(self) -> bool:
        return NAMINGS[self.format].image

    def __str__(self) -> str:
        parts = [
            f"{NAMINGS[self.format].title} naming",
            " ".join(
                filter(
                    None,
                    [
                        "2-D" if self.image else self.architecture or "unknown",
                        f"R{self.depth}" if self.depth else "network of an unknown depth",
                        f"at width {self.width:g}" if self.width != 1 else "",
                    ],
                )
            ),
            f"{self.num_classes} classes" if self.num_classes is not None else "no head",
        ]
        for kind in dict.fromkeys(self.blocks.values()):
            places = [place for place, other in self.blocks.items() if other == kind]
            noun = "block" if len(places) == 1 else "blocks"
            parts.append(f"{len(places)} {kind} {noun} ({', '.join(places)})")
        for name, values in self.settings.items():
            parts.append(f"{name} {' or '.join(values)}")
        parts += [f"clips of {self.clip.replace('x', ' x ')}"] if self.clip else []
        parts += ["batch norms folded"] if self.folded else []
        parts += [f"inside {', '.join(self.wrappers)}"] if self.wrappers else []
        return ", ".join(parts)


def recognise(checkpoint: Checkpoint, *, format: str = "auto") -> Recognised:
    """Whose naming the weights have, and of which network they are.

    Raises:
        ValueError: No naming, or not the one that was asked, has names for them.
    """
    best, named = _closest(checkpoint.state, format)
    if "stem.conv.weight" not in named.state:
        refuse_variants(checkpoint)
        expected = ", ".join(dict.fromkeys(naming.title for naming in NAMINGS.values()))
        some = ", ".join(list(checkpoint.state)[:3])
        asked_for = "naming" if format == "auto" else f"{format} naming"
        raise ValueError(
            f"{checkpoint.path}: its {len(checkpoint.state)} keys have no {asked_for} that is known here "
            f"({some}, ...); expected a residual network as named by {expected}"
        )
    named.not_ours.extend(checkpoint.outside)
    state, stem = named.state, named.state["stem.conv.weight"]
    head = state.get("head.proj.weight")
    return Recognised(
        format=best,
        named=named,
        depth=DEPTH_OF_BLOCKS.get(_num_blocks(state)),
        architecture=_architecture(state),
        width=len(stem) / 64,
        num_classes=None if head is None else len(head),
        blocks=_blocks(state),
        settings=_settings(checkpoint, best, named),
        clip=_clip(checkpoint),
        folded="stem.norm.weight" not in state and "stem.conv.bias" in state,
        wrappers=checkpoint.wrappers,
    )


def is_residual(state: Mapping[str, Tensor]) -> bool:
    """Whether a naming has names for the state dict."""
    return "stem.conv.weight" in _closest(state, "auto")[1].state


def _closest(state: Mapping[str, Tensor], format: str) -> tuple[str, Named]:
    """The naming that has names for most of the state dict, and the state dict under them."""
    asked = [name for name in NAMINGS if format == "auto" or name.startswith(format)]
    readings = {name: read_naming(state, name) for name in asked}
    return max(readings.items(), key=lambda reading: len(reading[1].state))


def _num_blocks(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Bottlenecks in res2, res3, res4, res5."""
    return tuple(
        len({key.split(".")[1] for key in state if key.startswith(stage) and "branch2.conv_c" in key})
        for stage in STAGE_NAMES
    )


def _architecture(state: Mapping[str, Tensor]) -> Architecture | None:
    layers = ("stem.conv", "res2.0.branch2.conv_a", "res4.0.branch2.conv_a")
    kernels = [state[f"{layer}.weight"] for layer in layers if f"{layer}.weight" in state]
    lengths = tuple(kernel.shape[2] for kernel in kernels if kernel.ndim == 5)
    return ARCHITECTURE_OF_KERNELS.get(lengths)


def _blocks(state: Mapping[str, Tensor]) -> dict[str, str]:
    places = dict.fromkeys(".".join(key.split(".")[:2]) for key in state if ".context." in key)
    return {
        place: next((kind for part, kind in KIND_OF_BLOCK.items() if f"{place}.{part}" in state), "unknown")
        for place in places
    }


def _settings(checkpoint: Checkpoint, format: str, named: Named) -> dict[str, tuple[str, ...]]:
    """What the codebase, the layers' names and the file's configuration tell of its context blocks."""
    if not any(".context." in key for key in named.state):
        return {}
    said, settings = _said(checkpoint), dict(NAMINGS[format].settings)
    for name in ("instantiation", "subsampling", "fusion"):  # ours
        if found := re.search(rf'"{name}": "(\w+)"', said):
            settings[name] = (found[1],)
    if found := re.search(r"INSTANTIATION: (softmax|dot_product)", said):  # PySlowFast
        settings["instantiation"] = ("scaled_embedded_gaussian" if found[1] == "softmax" else "dot_product",)
    if format == "mmaction2":
        pooled = any("non_local_block.g.0." in key for key in checkpoint.state)
        settings["subsampling"] = ("conv_then_pool" if pooled else "none",)
        if found := re.search(r"mode=['\"](gaussian|embedded_gaussian|dot_product)['\"]", said):
            scaled = found[1] == "embedded_gaussian" and "use_scale=False" not in said
            settings["instantiation"] = ("scaled_embedded_gaussian" if scaled else found[1],)
    return settings


def _said(checkpoint: Checkpoint) -> str:
    """The configuration that the file carries, as text: PySlowFast's, MMAction2's or ours."""
    meta = checkpoint.record.get("meta")
    texts = [checkpoint.record.get("cfg"), checkpoint.record.get("hyper_parameters")]
    texts += [meta.get("config"), meta.get("cfg")] if isinstance(meta, dict) else []
    texts.append(checkpoint.record.get("datamodule_hyper_parameters"))
    return "\n".join(
        text if isinstance(text, str) else json.dumps(text, default=str) for text in texts if text
    )


def _clip(checkpoint: Checkpoint) -> str | None:
    """Frames x stride from the file's configuration, or from its name."""
    said = _said(checkpoint)
    for frames, stride in (
        (r"NUM_FRAMES: (\d+)", r"SAMPLING_RATE: (\d+)"),
        (r"clip_len=(\d+)", r"frame_interval=(\d+)"),
        (r'"num_frames": (\d+)', r'"stride": (\d+)'),
    ):
        found = re.search(frames, said), re.search(stride, said)
        if found[0] and found[1]:
            return f"{found[0][1]}x{found[1][1]}"
    in_name = re.search(r"(?<![\dx])(\d{1,2})x(\d{1,2})(?=\D|$)", checkpoint.path.name)
    return in_name and f"{in_name[1]}x{in_name[2]}"
