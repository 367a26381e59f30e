"""`gcvideo weights inspect | convert`: what a file of weights holds, and the same under other names."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console

from gcvideo.backbones import VideoResNet
from gcvideo.backbones.checkpoints import (
    NAMINGS,
    Checkpoint,
    Recognised,
    find_network,
    inflate,
    read_checkpoint,
    read_naming,
    recognise,
    write_naming,
    write_state,
)
from gcvideo.backbones.checkpoints.files import non_finite, refuse_non_finite
from gcvideo.backbones.checkpoints.inflation import Inflation
from gcvideo.backbones.checkpoints.loading import Format, complete, refuse_folded
from gcvideo.backbones.checkpoints.recognition import Architecture
from gcvideo.backbones.checkpoints.variants import refuse_variants
from gcvideo.cli.parser import CommandParser

log = logging.getLogger(__name__)

Target = Literal["gcvideo", "torchvision", "mmdetection", "pyslowfast", "mmaction2"]


def parser() -> CommandParser:
    """The command's arguments."""
    arguments = CommandParser(
        prog="gcvideo weights",
        description="Say whose network a file of weights holds (inspect), or write the same weights under "
        "other names (convert). Nothing in a file is ever run.",
    )
    actions = arguments.add_subcommands(dest="action", required=True)

    inspect = CommandParser(prog="gcvideo weights inspect", description="Say what a file of weights holds.")
    inspect.add_argument("path", type=Path, help="The file.")
    inspect.add_argument("--format", type=Format, default="auto", help="Whose names its layers have.")
    inspect.add_argument("--state", type=str | None, default=None, help="Which state, where it has several.")
    inspect.add_argument(
        "--tensors",
        type=bool,
        nargs="?",
        const=True,
        default=False,
        help="List every tensor: its name, ours, its shape.",
    )
    actions.add_subcommand("inspect", inspect, help="say what a file holds")

    convert = CommandParser(
        prog="gcvideo weights convert",
        description="Write weights under other names. Both directions are exact: converting back gives the "
        "same tensors. 2-D weights are inflated on the way to a video network.",
    )
    convert.add_argument("path", type=Path, help="The file to read.")
    convert.add_argument("out", type=Path, help="The file to write: .safetensors, .pth, .pyth or .pt.")
    convert.add_argument("--to", type=Target, default="gcvideo", help="Whose names to write.")
    convert.add_argument("--format", type=Format, default="auto", help="Whose names its layers have.")
    convert.add_argument("--state", type=str | None, default=None, help="Which state, where it has several.")
    convert.add_argument(
        "--architecture", type=Architecture | None, default=None, help="What 2-D weights are inflated to."
    )
    convert.add_argument("--inflation", type=Inflation, default="mean", help="How 2-D weights are inflated.")
    actions.add_subcommand("convert", convert, help="write the same weights under other names")
    return arguments


def run(arguments: Sequence[str]) -> None:
    """Do what `arguments` say."""
    options = parser().parse_args(list(arguments[1:]))
    chosen = options[options.action]
    checkpoint = find_network(read_checkpoint(chosen.path, state=chosen.state))
    source = recognise(checkpoint, format=chosen.format)
    if options.action == "inspect":
        show(checkpoint, source, tensors=chosen.tensors)
        return
    state = convert_state(
        checkpoint, source, to=chosen.to, architecture=chosen.architecture, inflation=chosen.inflation
    )
    stated = {name: values[0] for name, values in source.settings.items() if len(values) == 1}
    record = {"hyper_parameters": json.dumps(stated), "source": f"{chosen.path.name}: {source}"}
    write_state(chosen.out, state, record=record)
    log.info("%s: %s", chosen.path, source)
    log.info("wrote %d tensors as %s names them to %s", len(state), chosen.to, chosen.out)


def show(checkpoint: Checkpoint, source: Recognised, *, tensors: bool) -> None:
    """Print what the file holds."""
    numbers = sum(tensor.numel() for tensor in checkpoint.state.values()) / 1e6
    kinds = ", ".join(sorted({str(t.dtype).removeprefix("torch.") for t in checkpoint.state.values()}))
    lines = [
        f"{checkpoint.path}: {source}",
        f"{len(checkpoint.state)} tensors, {numbers:.2f} M numbers, {kinds}",
    ]
    if source.named.unknown:
        lines.append(f"no name here for {len(source.named.unknown)}: {', '.join(source.named.unknown)}")
    if source.named.not_ours:
        lines.append(f"{len(source.named.not_ours)} of no classifier")
    lines += [
        f"{key}: {count} numbers are nan or infinite" for key, count in non_finite(checkpoint.state).items()
    ]
    lines += [
        "strides, pools and temporal strides are in no file of weights; compare the configurations",
        f"recipes of this naming normalise with {NAMINGS[source.format].pixels}; compare data.mean, data.std",
    ]
    if tensors:
        lines += [
            f"  {theirs} -> {ours} {list(source.named.state[ours].shape)}"
            for theirs, ours in _pairs(checkpoint, source)
        ]
    console = Console()
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def convert_state(
    checkpoint: Checkpoint,
    source: Recognised,
    *,
    to: Target,
    architecture: Architecture | None,
    inflation: Inflation,
) -> dict[str, torch.Tensor]:
    """The weights under the names of `to`, inflated if they come from images and go to clips.

    Raises:
        ValueError: Keys have no name, batch norms are folded, 2-D weights have no architecture to be inflated
            to, or the target has no name for a layer.
    """
    refuse_folded(checkpoint, source)
    refuse_variants(checkpoint)
    refuse_non_finite(checkpoint)
    if source.named.unknown:
        raise ValueError(
            f"{checkpoint.path} ({source}): nothing was converted, since there is no name for: "
            + ", ".join(source.named.unknown)
        )
    for name, possible in () if to == "gcvideo" else NAMINGS[to].settings.items():
        if not set(source.settings.get(name, possible)) & set(possible):
            raise ValueError(
                f"{checkpoint.path} ({source}): {NAMINGS[to].title} has no blocks of this {name}, only "
                f"{' or '.join(possible)}; choose other names"
            )
    state, _ = complete(source.named.state)
    to_image = to != "gcvideo" and NAMINGS[to].image
    if source.image and not to_image:
        if architecture is None or source.depth is None:
            raise ValueError(
                f"{checkpoint.path} ({source}) is of images; inflate it: --architecture slow, i3d or c2d"
            )
        with torch.device("meta"):
            network = VideoResNet(1, architecture=architecture, depth=source.depth, width=source.width)
        own = recognise(Checkpoint(checkpoint.path, dict(network.state_dict()), [], {}))
        state = inflate(state, {k: v.shape for k, v in own.named.state.items()}, inflation=inflation)
    elif not source.image:
        architecture = source.architecture
    if to != "gcvideo":
        return write_naming(state, to)
    if architecture is None:
        raise ValueError(
            f"{checkpoint.path} ({source}): is no Slow-only, I3D or C2D network; none of ours fits"
        )
    return write_naming(state, "pytorchvideo" if architecture == "slow" else "pytorchvideo_pooled")


def _pairs(checkpoint: Checkpoint, source: Recognised) -> list[tuple[str, str]]:
    """Every key of the file and the name that it has between two namings."""
    return [
        (key, ours)
        for key, tensor in checkpoint.state.items()
        for ours in read_naming({key: tensor}, source.format).state
        if ours.rpartition(".")[2] == key.rpartition(".")[2]
    ]
