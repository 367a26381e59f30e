"""`gcvideo complexity --paper images`: the paper's rows of ImageNet and COCO."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from jsonargparse.typing import PositiveInt
from rich.table import Column, Table
from torch import nn

from gcvideo.atomic import write_text
from gcvideo.cli.complexity import device_name
from gcvideo.cli.inputs import usable_device
from gcvideo.cli.options import add_device, add_out, add_switch
from gcvideo.cli.parser import CommandParser
from gcvideo.complexity.timers import timer_for
from gcvideo.complexity.turns import Spread, in_turns, times_faster
from gcvideo.images.complexity.counting import META, by_part, multiply_adds
from gcvideo.images.complexity.rows import COCO, IMAGENET, backbone, classifier, detector
from gcvideo.memory import keep_freed_memory
from gcvideo.terminal import Terminal, progress_bar

log = logging.getLogger(__name__)

IMAGENET_SIZE, COCO_SIZE = (224, 224), (800, 1344)
Seconds = Mapping[str, list[float]]


def parser() -> CommandParser:
    """Return the parser of the command's arguments."""
    arguments = CommandParser(
        prog="gcvideo complexity --paper images",
        description="Count parameters and multiply-adds of the paper's networks of pictures, ImageNet's at "
        "224 x 224 and COCO's at 800 x 1344 by part, without computing them, and time ImageNet's in turns. "
        "Writes complexity_imagenet.csv, complexity_coco.csv and complexity_images.md.",
    )
    add_switch(arguments, "--paper", help="Given as --paper images.")
    add_out(arguments, Path())
    add_device(arguments)
    arguments.add_argument(
        "--num_boxes", type=PositiveInt, default=1000, help="Proposals that the box heads are counted on."
    )
    arguments.add_argument(
        "--num_masks", type=PositiveInt, default=100, help="Boxes that the mask heads are counted on."
    )
    arguments.add_argument(
        "--rounds", type=PositiveInt, default=5, help="Turns in which every network is timed once."
    )
    add_switch(
        arguments,
        "--time_backbones",
        help="Time the backbones of the COCO rows at 800 x 1344 too: minutes a round on a CPU.",
    )
    return arguments


def run(arguments: Sequence[str]) -> None:
    """Count and time what `arguments` ask for, print it and save it."""
    options = parser().parse_args([word for word in arguments[1:] if word not in ("--paper", "images")])
    device = usable_device(options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()

    # Count, on no device; time, in turns
    with progress_bar(transient=True) as progress:
        track = partial(progress.track, description="time in turns")
        of_imagenet = imagenet_table(timed(IMAGENET_NETWORKS, IMAGENET_SIZE, device, options.rounds, track))
        rows = progress.track(list(COCO), description="count detectors")
        of_coco = coco_table(rows, num_boxes=options.num_boxes, num_masks=options.num_masks)
        if options.time_backbones:
            seconds = timed(COCO_BACKBONES, COCO_SIZE, device, options.rounds, track)
            of_coco = beside(of_coco, seconds, column="backbone_ratio")

    # Print and save
    notes = notes_on(device, rounds=options.rounds, num_boxes=options.num_boxes, num_masks=options.num_masks)
    console = Terminal()
    fits_a_terminal = of_coco.drop(columns=["FPN_GFLOPs", "RPN_GFLOPs", "stated_box_AP", "stated_mask_AP"])
    for frame in (of_imagenet, fits_a_terminal):
        first, *others = frame.columns.str.replace("_", " ")
        printed = Table(Column(first, no_wrap=True), *others)
        for row in frame.itertuples(index=False):
            printed.add_row(*(value if isinstance(value, str) else f"{value:g}" for value in row))
        console.print(printed)
    for note in notes:
        console.print(f"- {note}")
    write_text(options.out / "complexity_imagenet.csv", of_imagenet.to_csv(index=False))
    write_text(options.out / "complexity_coco.csv", of_coco.to_csv(index=False))
    tables = "\n\n".join(frame.to_markdown(index=False) for frame in (of_imagenet, of_coco))
    listed = "\n".join(f"- {note}" for note in notes)
    write_text(options.out / "complexity_images.md", f"{tables}\n\n{listed}\n")
    log.info("wrote complexity_images.md and two tables to %s", options.out)


IMAGENET_NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    name: partial(classifier, row) for name, row in IMAGENET.items()
}
COCO_BACKBONES: Mapping[str, Callable[[], nn.Module]] = {
    name: partial(backbone, row.files) for name, row in COCO.items() if name.startswith("mask")
}


def timed(
    networks: Mapping[str, Callable[[], nn.Module]],
    size: tuple[int, int],
    device: torch.device,
    rounds: int,
    track: Callable[[range], Iterable[int]],
) -> dict[str, list[float]]:
    """Return the seconds of a forward pass of one picture, of each network in each round."""
    picture = torch.zeros(1, 3, *size, device=device).contiguous(memory_format=torch.channels_last)
    built = {
        name: build().eval().to(device=device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        for name, build in networks.items()
    }
    with torch.inference_mode():
        calls = {name: partial(network, picture) for name, network in built.items()}
        return in_turns(calls, rounds=rounds, track=track, timer=timer_for(device))


def imagenet_table(seconds: Seconds) -> pd.DataFrame:
    """Return the row of ImageNet, and the one without blocks above it."""
    rows = []
    for name, row in IMAGENET.items():
        with META:
            network = classifier(row).eval()
            gflops, _ = multiply_adds(network, torch.zeros(1, 3, *IMAGENET_SIZE))
        rows.append(
            {
                "network": name,
                "params_M": millions(network),
                "paper_params_M": row.parameters_millions,
                "GFLOPs": round(gflops / 1e9, 3),
                "paper_GFLOPs": row.gflops,
            }
        )
    return beside(pd.DataFrame(rows), seconds, column="forward_ratio")


def coco_table(names: Iterable[str], *, num_boxes: int, num_masks: int) -> pd.DataFrame:
    """Return the rows of COCO: parameters, multiply-adds by part, and the AP that mmdetection states."""
    rows = []
    for name in names:
        with META:
            network = detector(COCO[name]).eval()
            parts = by_part(network, size=COCO_SIZE, num_boxes=num_boxes, num_masks=num_masks)
        gflops = {f"{part}_GFLOPs": round(number / 1e9, 2) for part, number in parts.items()}
        total = round(sum(parts.values()) / 1e9, 2)
        stated = {"stated_box_AP": COCO[name].box_ap, "stated_mask_AP": COCO[name].mask_ap}
        rows.append({"network": name, "params_M": millions(network), **gflops, "GFLOPs": total, **stated})
    return pd.DataFrame(rows)


def beside(frame: pd.DataFrame, seconds: Seconds, *, column: str) -> pd.DataFrame:
    """Return the table with how many times as long as the first a network takes, where it was timed."""
    (first, *_) = seconds.values()
    ratios = {name: times_faster(taken, first) for name, taken in seconds.items()}
    return frame.assign(**{column: [with_quartiles(ratios.get(name)) for name in frame["network"]]})


def with_quartiles(ratio: Spread | None) -> str:
    """Return a ratio as it is printed, or a dash."""
    return f"{ratio.median:.3f} [{ratio.lower:.3f}, {ratio.upper:.3f}]" if ratio else "-"


def millions(network: nn.Module) -> float:
    """Return the number of parameters, in millions."""
    return round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 3)


def notes_on(device: torch.device, *, rounds: int, num_boxes: int, num_masks: int) -> list[str]:
    """Return what a reader must know of the figures."""
    return [
        "One FLOP is one multiply-add of a convolution or a matrix product, on one picture: 224 x 224 of "
        "ImageNet, 800 x 1344 of COCO (padded).",
        f"Box heads are counted on {num_boxes} proposals in every stage, mask heads on {num_masks} boxes; "
        "interpolation in deformable convolutions and the choice of boxes are not counted.",
        "Blocks stand in all of c3-c5, before the addition. Stated AP: mmdetection's page of GCNet (of runs "
        "with shared batch norms where it has both), nothing that was trained here.",
        "The paper's 3.86 is ResNet-50 with the stride in 1x1 convolutions; torchvision's has it in the 3x3.",
        f"Ratio: forward pass of one picture to that of the first network in the same round, "
        f"{device_name(device)}, torch {torch.__version__}; median [quartiles] of {rounds} rounds.",
    ]
