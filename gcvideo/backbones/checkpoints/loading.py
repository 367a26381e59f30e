"""Weights from a file into a network: exactly, or not at all."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from gcvideo.backbones.checkpoints.classes import compare_classes
from gcvideo.backbones.checkpoints.exactly import PARTS, Part, load_exactly
from gcvideo.backbones.checkpoints.files import Checkpoint, read_checkpoint, refuse_non_finite
from gcvideo.backbones.checkpoints.inflation import Inflation, inflate
from gcvideo.backbones.checkpoints.kinds import own_class, refuse_other_block
from gcvideo.backbones.checkpoints.namings import NAMINGS
from gcvideo.backbones.checkpoints.own_names import load_own_names
from gcvideo.backbones.checkpoints.prefixes import find_network
from gcvideo.backbones.checkpoints.recognition import Recognised, is_residual, recognise
from gcvideo.backbones.checkpoints.renaming import STAGE_NAMES, write_naming
from gcvideo.backbones.checkpoints.settings import ARGUMENTS, OF_BLOCKS, settings_of
from gcvideo.backbones.checkpoints.variants import refuse_variants
from gcvideo.backbones.families import FAMILIES
from gcvideo.backbones.placement import placed_blocks
from gcvideo.words import NamingFormat as Format

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weights:
    """Weights to start from: a file of ours or of another codebase.

    A 2-D network is inflated, and its head, which knows classes of images, is left behind. Everything else
    must fit exactly, but for the parts that are said to be new.

    Args:
        path: The file: .safetensors, or a pickle of tensors (.pth, .pyth, .pt, .ckpt).
        format: Whose names its layers have; auto looks at them. pytorchvideo's are ours.
        new: Parts of the network that start fresh, whatever the file has of them: head (for another list of
            classes), blocks (context blocks).
        inflation: What becomes of 2-D kernels: mean spreads them over time, centre puts them in the middle.
        state: Which state of the file, where it has several, as state_dict or state_dict_ema; of a run
            that averages weights averaged (if unset) or raw.
    """

    path: Path
    format: Format = "auto"
    new: list[Part] = field(default_factory=list)
    inflation: Inflation = "mean"
    state: str | None = None


def load_weights(network: nn.Module, weights: Weights, *, class_names: Sequence[str] = ()) -> None:
    """Load the file into the network, or raise and leave the network as it was.

    Args:
        network: The network.
        weights: The file, and what of it is taken.
        class_names: The class of every output of the network, to be compared with those that the file names.

    Raises:
        ValueError: The file cannot be read safely, or differs from the network in more than was declared.
    """
    checkpoint = read_checkpoint(weights.path, state=weights.state)
    if "head" not in weights.new:
        compare_classes(checkpoint, class_names)
    if not is_residual(network.state_dict()):
        load_own_names(network, checkpoint, new=weights.new)
        return
    # Recognise both sides, and refuse what cannot be loaded whatever is declared.
    own = _as_built(network)
    checkpoint = find_network(checkpoint)
    source = recognise(checkpoint, format=weights.format)
    refuse_folded(checkpoint, source)
    refuse_variants(checkpoint)
    refuse_non_finite(checkpoint)
    # Of classes of images, unless it is a mean over frames and the network is one too.
    has_other_head = source.image and own.architecture not in source.settings.get("architecture", ())
    new = {"head", *weights.new} if has_other_head else set(weights.new)
    left_open = _refuse_other_function(network, source, new, weights.path)

    # Inflate images, and leave behind the parts that start fresh.
    state = source.named.state
    state = inflate(state, {k: v.shape for k, v in own.named.state.items()}, inflation=weights.inflation)
    state, num_counters = complete(state)
    fresh = tuple(PARTS[part] for part in new)
    left = [key for key in state if any(mark in key for mark in fresh)]
    state = {key: tensor for key, tensor in state.items() if key not in left}
    expected_missing = [key for key in own.named.state if any(mark in key for mark in fresh)]

    # Load exactly the rest.
    title = f"{weights.path} ({source}) into a network of {own}"
    try:
        load_exactly(
            network,
            write_naming(state, own.format) | source.named.unknown,
            expected_missing=write_naming({k: own.named.state[k] for k in expected_missing}, own.format),
        )
    except ValueError as error:
        raise ValueError(f"{title}: {_advice(source, own, new)}\n  {error}") from error
    # Say what was loaded, and what the file leaves open.
    log.info(
        "loaded %s: %d tensors%s; %s start fresh; %s of the file left behind",
        title,
        len(state),
        f", {num_counters} counters of batch norms that the file lacks set to 0" if num_counters else "",
        _count_of_parts(expected_missing),
        _count_of_parts([*left, *source.named.not_ours]),
    )
    if left_open:
        log.info("%s leaves open, and is taken to have: %s", weights.path, ", ".join(left_open))
    if has_other_head and source.architecture:
        log.info("with architecture %s the network would compute what the file's does", source.architecture)
    if source.format != own.format and source.input.mean is None:
        naming = NAMINGS[source.format]
        log.info("recipes of %s normalise with %s; compare data.mean, data.std", naming.title, naming.pixels)


def _as_built(network: nn.Module) -> Recognised:
    """Return what the network's tensors, its settings and the classes of its context blocks tell."""
    own = recognise(Checkpoint(Path(type(network).__name__), dict(network.state_dict()), [], {}))
    settings = {name: (value,) for name, value in settings_of(network).items()}
    classes = {place: own_class(block) for place, block in placed_blocks(network).items()}
    blocks = {place: classes.get(place) or kind for place, kind in own.blocks.items()}
    return own._replace(settings=own.settings | settings, blocks=blocks)


def _count_of_parts(keys: Collection[str]) -> str:
    """Return how many keys there are, and of which parts: `67 (blocks, head)`."""
    parts = {"blocks" if PARTS["blocks"] in key else key.split(".")[0] for key in keys}
    return f"{len(keys)} ({', '.join(sorted(parts))})" if parts else "0"


def complete(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], int]:
    """Add the counter of steps that older files lack; no norm with a momentum reads it."""
    norms = [key.removesuffix("running_mean") for key in state if key.endswith(".running_mean")]
    lacking = [f"{norm}num_batches_tracked" for norm in norms if f"{norm}num_batches_tracked" not in state]
    return {**state, **{key: torch.tensor(0) for key in lacking}}, len(lacking)


def refuse_folded(checkpoint: Checkpoint, source: Recognised) -> None:
    """Raise ValueError for a file whose batch norms are folded into its convolutions."""
    if source.folded:
        raise ValueError(
            f"{checkpoint.path} ({source}): its batch norms are folded into its convolutions, which cannot "
            "be undone; use the file that it was made from"
        )


def _refuse_other_function(
    network: nn.Module, source: Recognised, new: Collection[str], file: Path
) -> list[str]:
    """Refuse weights that were trained in another function of equal shapes.

    Returns what the network is set to and the file leaves open.
    """
    # What the file has and nothing here does.
    if foreign := [(part, setting) for part, setting in source.foreign if part not in new]:
        parts = list(dict.fromkeys(part for part, _ in foreign))
        way_out = f"; weights.new: [{', '.join(parts)}] leaves that behind" if "network" not in parts else ""
        said = ", ".join(setting for _, setting in foreign)
        raise ValueError(f"{file} was trained with {said}, which nothing here has{way_out}")
    if source.block is not None and "blocks" not in new:
        refuse_other_block(network, source.block, file)
    # Compare what every module is set to with what the file says, or may mean.
    left_open: dict[str, None] = {}
    for name, module in network.named_modules():
        for setting, value in settings_of(module).items():
            meant = source.settings.get(setting, (value,))
            if setting in OF_BLOCKS and "blocks" in new:
                continue
            if setting == "architecture" and source.image and value not in meant:  # inflated to any
                continue
            if value not in meant:
                argument, wanted = ARGUMENTS[setting], "that"
                if meant[0] in FAMILIES:
                    argument, wanted = "network", f"gcvideo.backbones.{FAMILIES[meant[0]].__name__}"
                fresh = ", or start the blocks fresh with weights.new: [blocks]" * (setting in OF_BLOCKS)
                raise ValueError(
                    f"{name or type(network).__name__} has {setting} {value}, but {file} was trained with "
                    f"{' or '.join(meant)}; set {argument} to {wanted}{fresh}"
                )
            if len(meant) > 1:
                left_open[f"{setting} {value}"] = None
    return list(left_open)


def _advice(source: Recognised, own: Recognised, new: Collection[str]) -> str:
    """Return what would do, if the difference is one that is known."""
    if any("pathway1_" in key for key in source.named.unknown):
        return "the file is a SlowFast network of two pathways; expected one of a single pathway"
    if source.depth is None:
        return "the file is of no residual network of 18, 34, 50, 101 or 152 layers; none here has its shape"
    if source.depth != own.depth:
        return f"depth is {own.depth}, but the file's is {source.depth}; set depth to it"
    if source.width != own.width:
        return f"width is {own.width:g}, but the file's is {source.width:g}; set width to it"
    if not source.image and source.architecture != own.architecture:
        return f"architecture is {own.architecture}, but the file's is {source.architecture or 'unknown'}"
    if source.blocks != own.blocks and "blocks" not in new:
        return f"the context blocks differ; {_placement(source)}weights.new: [blocks] starts them fresh"
    if source.num_classes != own.num_classes and "head" not in new:
        return f"the head is of {source.num_classes} classes; weights.new: [head] starts a new one"
    return "the file is of another network"


def _placement(source: Recognised) -> str:
    stages = [
        f"{name}: {places}"
        for name, places in zip(STAGE_NAMES, source.skeleton.places, strict=True)
        if places
    ]
    return f"set placement to the file's {{{', '.join(stages)}}}, or " if stages else ""
